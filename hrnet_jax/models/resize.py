"""Resizing of feature maps, equal to PyTorch's `interpolate` in three modes.

Bilinear resizing is separable and linear: one small constant matrix per axis,
or shifted copies where a side grows by a whole factor and is long, or its rows are
divided over devices. Both need no gather forward and no scatter backward, and never
antialias (`jax.image.resize` does, and has no aligned corners).
"""

import functools
import operator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim

from hrnet_jax.errors import ConfigError
from hrnet_jax.runtime import row_shards
from hrnet_jax.runtime.target import per_target, target
from hrnet_jax.runtime.whole_operations import whole

# A matrix costs as many multiply-adds per output as the source side is long,
# shifted copies cost two but compile slower. On a CPU the copies make networks on
# large images 5 to 15 % faster, and nothing faster where the source is shorter.
_LONG_SIDE = 64

METHODS = ("bilinear", "align_corners", "nearest")

# Inside the exchange there is one more, of mmsegmentation and mmpose: bilinear by a
# power of two, then bilinear to the size of the target. Another result only where
# the sides of the image are no multiples of 32.
BY_FACTOR = "bilinear_by_factor"
EXCHANGE_METHODS = (*METHODS, BY_FACTOR)


class HasShape(Protocol):
    """An array of whatever library, or a packed map."""

    @property
    def shape(self) -> tuple[int, ...]: ...


def size_of(maps: HasShape) -> tuple[int, int]:
    """(height, width) of maps or images [B, H, W, C]."""
    _, height, width, _ = maps.shape
    return height, width


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

    def bilinear(x: jax.Array) -> jax.Array:
        # Columns first: the intermediate then has the smaller number of rows.
        for axis in (2, 1):
            x = _resize_axis(x, axis, size[axis - 1], method == "align_corners")
        return x

    def resized(x: jax.Array) -> tuple[jax.Array]:
        if method == "nearest":
            return (_resize_nearest(x, size),)
        return (per_target(bilinear, x),)

    shape = jax.ShapeDtypeStruct((x.shape[0], *size, x.shape[3]), x.dtype)
    (y,) = whole("resize", resized, x, shapes=(shape,), size=tuple(size), method=method)
    return y


def _resize_axis(x: jax.Array, axis: int, m: int, align_corners: bool) -> jax.Array:
    """Bilinear resizing of the rows (axis 1) or columns (axis 2) to m.

    One product per image (rows) or per row (columns), the matrix repeated, so
    that results come out in the order of the map. A single product puts the
    resized axis first, and undoing that costs more than the arithmetic.
    """
    n = x.shape[axis]
    if m == n:  # For symbolic sizes: provably equal.
        return x
    matrix: jax.Array | np.ndarray
    if is_symbolic_dim(n) or is_symbolic_dim(m):
        matrix = _symbolic_matrix(n, m, align_corners).astype(x.dtype)
    else:
        if m % n == 0 and _prefers_copies(axis, n, align_corners):
            return _upsample_axis(x, axis, m // n, align_corners)
        matrix = interpolation_matrix(n, m, align_corners).astype(x.dtype)
    matrix = jnp.broadcast_to(matrix, (*x.shape[:axis], m, n))
    if axis == 2:
        # Images and rows stay apart: where rows are divided, one axis of both could
        # not be, and every device would gather the map.
        return jnp.einsum("bhmn,bhnc->bhmc", matrix, x)
    b, _, w, c = x.shape
    y = jnp.einsum("bmn,bnk->bmk", matrix, x.reshape(b, n, w * c))
    return y.reshape(b, m, w, c)


def _prefers_copies(axis: int, n: int, align_corners: bool) -> bool:
    """Whether shifted copies resize a side of n pixels; otherwise a matrix does."""
    if axis == 1 and (shards := row_shards()) > 1:
        # Shares of unequal size are gathered anyway: better before they grow.
        return n % shards == 0
    if target() == "gpu":
        return True
    return n >= _LONG_SIDE and not align_corners


def _upsample_axis(
    x: jax.Array, axis: int, factor: int, align_corners: bool
) -> jax.Array:
    """Bilinear upsampling by a whole factor, from shifted copies.

    Output `i * factor + r` is less than one pixel from input i in both modes, so
    it mixes input i with its two neighbours, one of which has no weight with
    half-pixel centres. Under spatial partitioning a device needs one row of each
    of its neighbours for that, where the product with a matrix needs all rows.
    """
    n = x.shape[axis]
    if target() == "gpu":
        return _upsample_repeated(x, axis, factor, align_corners)
    beyond = tuple(range(1, x.ndim - axis))
    copies = (shifted(x, axis, 1), x, shifted(x, axis, -1))
    phases = []
    for weights in neighbour_weights(n, factor, align_corners):
        terms = [
            copy * jnp.asarray(np.expand_dims(weight, beyond), x.dtype)
            for copy, weight in zip(copies, weights, strict=True)
            if weight.any()
        ]
        phases.append(sum(terms[1:], terms[0]))
    shape = x.shape[:axis] + (n * factor,) + x.shape[axis + 1 :]
    return jnp.stack(phases, axis + 1).reshape(shape)


def _upsample_repeated(
    x: jax.Array, axis: int, factor: int, align_corners: bool
) -> jax.Array:
    """`_upsample_axis` by repeating pixels, which a GPU does while it reads them."""
    n = x.shape[axis]
    weights = neighbour_weights(n, factor, align_corners).transpose(1, 2, 0)
    between = x.shape[: axis + 1] + (factor,) + x.shape[axis + 1 :]
    beyond = tuple(range(2, x.ndim - axis + 1))

    def part(step: int, weight: np.ndarray) -> jax.Array:
        copy = shifted(x, axis, step) if step else x
        copy = jnp.broadcast_to(jnp.expand_dims(copy, axis + 1), between)
        return copy * jnp.asarray(np.expand_dims(weight, beyond), x.dtype)

    total = functools.reduce(operator.add, map(part, (1, 0, -1), weights))
    return total.reshape(x.shape[:axis] + (n * factor,) + x.shape[axis + 1 :])


def shifted(x: jax.Array, axis: int, step: int) -> jax.Array:
    """Moves the pixels along an axis; zeros follow.

    As one padding, because joining slices makes XLA redistribute sharded rows.
    """
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (step, -step, 0)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), padding)


def neighbour_weights(n: int, factor: int, align_corners: bool) -> np.ndarray:
    """What outputs take of the pixels before, at and after theirs.

    Returns:
        float64 [factor, 3, n]: output `i * factor + r` takes [r, s, i] of pixel
        i + s - 1, and nothing from beyond the edges.
    """
    index = np.arange(n * factor)
    left, right, share = _source_pixels(n, n * factor, align_corners)
    weights = np.zeros((n * factor, 3))
    own = index // factor
    np.add.at(weights, (index, left - own + 1), 1.0 - share)
    np.add.at(weights, (index, right - own + 1), share)
    return weights.reshape(n, factor, 3).transpose(1, 2, 0)


@functools.lru_cache(maxsize=1024)
def interpolation_matrix(n: int, m: int, align_corners: bool) -> np.ndarray:
    """Matrix [m, n] that linearly interpolates n samples to m.

    Returns:
        float64 [m, n]; every row sums to one.
    """
    index = np.arange(m)
    left, right, share = _source_pixels(n, m, align_corners)
    matrix = np.zeros((m, n))
    np.add.at(matrix, (index, left), 1.0 - share)
    np.add.at(matrix, (index, right), share)
    matrix.flags.writeable = False
    return matrix


def _source_pixels(
    n: int, m: int, align_corners: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Between which of n pixels each of m outputs lies, and how far along.

    Source positions follow PyTorch's `area_pixel_compute_source_index`: output
    i reads at `i * (n - 1) / (m - 1)` with aligned corners, otherwise at
    `max((i + 0.5) * n / m - 0.5, 0)`; the right neighbour stops at the edge.

    Returns:
        Left and right pixel, int64 [m], and the share of the right one, float64 [m].
    """
    index = np.arange(m, dtype=np.float64)
    if align_corners:
        position = index * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        position = np.maximum((index + 0.5) * (n / m) - 0.5, 0.0)
    left = np.minimum(np.floor(position).astype(np.int64), n - 1)
    return left, np.minimum(left + 1, n - 1), position - left


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
