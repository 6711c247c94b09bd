"""Resizing of feature maps, equal to PyTorch's `interpolate` in three modes.

Bilinear resizing is separable and linear: one small constant matrix per axis,
or shifted copies where a long side grows by a whole factor. Both need no gather
forward and no scatter backward, and never antialias (`jax.image.resize` does,
and has no aligned corners).
"""

import contextvars
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim

from hrnet_jax.errors import ConfigError

# A matrix costs as many multiply-adds per output as the source side is long,
# shifted copies cost two but compile slower. On a CPU the copies make networks on
# large images 5 to 15 % faster, and nothing faster where the source is shorter.
_LONG_SIDE = 64

METHODS = ("bilinear", "align_corners", "nearest")

# Takes the place of the code below while a model is traced for a format that has
# a resize operation of its own.
SUBSTITUTE: contextvars.ContextVar[Callable | None] = contextvars.ContextVar(
    "SUBSTITUTE", default=None
)

# Inside the exchange there is one more, of mmsegmentation and mmpose: bilinear by a
# power of two, then bilinear to the size of the target. Another result only where
# the sides of the image are no multiples of 32.
BY_FACTOR = "bilinear_by_factor"
EXCHANGE_METHODS = (*METHODS, BY_FACTOR)


def resize(x: jax.Array, size: tuple[int, int], method: str = "bilinear") -> jax.Array:
    """Resizes maps to an exact size.

    Args:
        x: [B, H, W, C], any float type; the result keeps it.
        size: (height, width) of the result; like those of x they may be symbolic
            (`jax.export`), then what else is a constant is computed by the program.
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
    if (substitute := SUBSTITUTE.get()) is not None:
        return substitute(x, size, method)
    if method == "nearest":
        return _resize_nearest(x, size)
    # Columns first: the intermediate then has the smaller number of rows.
    for axis in (2, 1):
        x = _resize_axis(x, axis, size[axis - 1], method == "align_corners")
    return x


def _resize_axis(x: jax.Array, axis: int, m: int, align_corners: bool) -> jax.Array:
    """Bilinear resizing of the rows (axis 1) or columns (axis 2) to m.

    One product per image (rows) or per row (columns), the matrix repeated, so
    that results come out in the order of the map. A single product puts the
    resized axis first, and undoing that costs more than the arithmetic.
    """
    n = x.shape[axis]
    if m == n:  # For symbolic sizes: provably equal.
        return x
    if is_symbolic_dim(n) or is_symbolic_dim(m):
        matrix = _symbolic_matrix(n, m, align_corners).astype(x.dtype)
    else:
        if n >= _LONG_SIDE and m % n == 0 and not align_corners:
            return _upsample_axis(x, axis, m // n)
        matrix = interpolation_matrix(n, m, align_corners).astype(x.dtype)
    batch = math.prod(x.shape[:axis])
    y = jnp.einsum(
        "bmn,bnk->bmk",
        jnp.broadcast_to(matrix, (batch, m, n)),
        x.reshape(batch, n, math.prod(x.shape[axis + 1 :])),
    )
    return y.reshape(x.shape[:axis] + (m,) + x.shape[axis + 1 :])


def _upsample_axis(x: jax.Array, axis: int, factor: int) -> jax.Array:
    """Bilinear upsampling by a whole factor with half-pixel centres.

    Output `i * factor + r` lies (r + 0.5) / factor - 0.5 pixels from input i,
    so it mixes input i with one neighbour in proportions that depend on r
    alone: shifted copies instead of a matrix. Under spatial partitioning a
    device needs only one row of each neighbour.
    """
    n = x.shape[axis]

    def cut(start: int, stop: int) -> jax.Array:
        return jax.lax.slice_in_dim(x, start, stop, axis=axis)

    before = jnp.concatenate([cut(0, 1), cut(0, n - 1)], axis)
    after = jnp.concatenate([cut(1, n), cut(n - 1, n)], axis)
    phases = []
    for r in range(factor):
        offset = (r + 0.5) / factor - 0.5
        neighbour = before if offset < 0 else after
        phases.append((1 - abs(offset)) * x + abs(offset) * neighbour)
    shape = x.shape[:axis] + (n * factor,) + x.shape[axis + 1 :]
    return jnp.stack(phases, axis + 1).reshape(shape)


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


def _symbolic_matrix(n: Any, m: Any, align_corners: bool) -> jax.Array:
    """`interpolation_matrix` of symbolic sizes, as a program.

    Positions are fractions of integers: in float32, those of a thousand pixels
    would be off by 1e-4.
    """
    index = jnp.arange(m)
    if align_corners:
        above, below = index * (n - 1), jnp.maximum(m - 1, 1)
    else:
        above, below = jnp.maximum((2 * index + 1) * n - m, 0), jnp.asarray(2 * m)
    left = jnp.minimum(above // below, n - 1)
    right = jnp.minimum(left + 1, n - 1)
    weight = ((above - left * below) / below)[:, None]
    column = jnp.arange(n)
    at_left = jnp.where(column == left[:, None], 1 - weight, 0)
    return at_left + jnp.where(column == right[:, None], weight, 0)


def _resize_nearest(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Copies the pixel at `floor(i * in / out)`; whole factors are repeats."""
    for axis, m in zip((1, 2), size, strict=True):
        n = x.shape[axis]
        if is_symbolic_dim(n) or is_symbolic_dim(m):
            x = jnp.take(x, jnp.arange(m) * n // m, axis=axis, mode="clip")
        elif m % n == 0:
            x = jnp.repeat(x, m // n, axis=axis)
        else:
            x = jnp.take(x, np.arange(m) * n // m, axis=axis)
    return x
