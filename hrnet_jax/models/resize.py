"""Resizing of feature maps, equal to PyTorch's `interpolate` in three modes.

Bilinear resizing is separable and linear: one small constant matrix for the
rows and one for the columns. That needs no gather forward and no scatter
backward, knows aligned corners, and never antialiases (`jax.image.resize`
lacks the former and does the latter).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import ConfigError

METHODS = ("bilinear", "align_corners", "nearest")


def resize(x: jax.Array, size: tuple[int, int], method: str = "bilinear") -> jax.Array:
    """Resizes maps to an exact size.

    Args:
        x: [B, H, W, C], any float type; the result keeps it.
        size: (height, width) of the result.
        method: `bilinear` (half-pixel centres, `align_corners=False`),
            `align_corners` (bilinear with `align_corners=True`) or `nearest`
            (`floor(i * in / out)`).

    Returns:
        [B, height, width, C].

    Raises:
        ConfigError: for an unknown method.
    """
    if method not in METHODS:
        raise ConfigError(
            f"unknown resize method {method!r}; expected one of {', '.join(METHODS)}"
        )
    if x.shape[1:3] == tuple(size):
        return x
    if method == "nearest":
        return _resize_nearest(x, size)
    rows = interpolation_matrix(x.shape[1], size[0], method == "align_corners")
    columns = interpolation_matrix(x.shape[2], size[1], method == "align_corners")
    # Columns first: the intermediate then has the smaller number of rows.
    x = jnp.einsum("pw,bhwc->bhpc", columns.astype(x.dtype), x)
    return jnp.einsum("oh,bhpc->bopc", rows.astype(x.dtype), x)


@functools.lru_cache(maxsize=1024)
def interpolation_matrix(n: int, m: int, align_corners: bool) -> np.ndarray:
    """Matrix [m, n] that linearly interpolates n samples to m.

    Source positions follow PyTorch's `area_pixel_compute_source_index`: output
    i reads at `i * (n - 1) / (m - 1)` with aligned corners, otherwise at
    `max((i + 0.5) * n / m - 0.5, 0)`; the right neighbour stops at the edge.

    Returns:
        float64 [m, n]; every row sums to one.
    """
    index = np.arange(m, dtype=np.float64)
    if align_corners:
        position = index * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        position = np.maximum((index + 0.5) * (n / m) - 0.5, 0.0)
    left = np.minimum(np.floor(position).astype(np.int64), n - 1)
    right = np.minimum(left + 1, n - 1)
    weight = position - left
    matrix = np.zeros((m, n))
    np.add.at(matrix, (np.arange(m), left), 1.0 - weight)
    np.add.at(matrix, (np.arange(m), right), weight)
    matrix.flags.writeable = False
    return matrix


def _resize_nearest(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Copies the pixel at `floor(i * in / out)`; whole factors are repeats."""
    for axis, m in zip((1, 2), size, strict=True):
        n = x.shape[axis]
        if m % n == 0:
            x = jnp.repeat(x, m // n, axis=axis)
        else:
            x = jnp.take(x, np.arange(m) * n // m, axis=axis)
    return x
