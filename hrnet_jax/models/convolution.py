"""The convolution of all layers, with gradients that suit the machine.

XLA writes the gradients of a convolution as convolutions: with respect to the kernel
by a kernel as large as the image, with respect to the input of a strided one over a
map that is three quarters zeros. Accelerators have fast programs for both. On a CPU
they run at a tenth of the machine's speed, and what comes out of the first has to be
copied into another layout. There the gradients are matrix products and convolutions
without zeros instead; figures are in docs/performance.md.
"""

import functools
import math
import operator
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from hrnet_jax.runtime import is_traced_for_one_cpu

# Sums over a map are as exact in these as XLA's own gradients.
_EXACT = (jnp.float32, jnp.float64)

# Pixels, those of the whole batch, from which on gradients of strided convolutions
# are better without zeros.
_LARGE = 8192


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """NHWC by HWIO convolution, padded by half the kernel on both sides.

    Args:
        x: [B, H, W, C].
        kernel: [k, k, C, F] with an odd k, in the type of x.
        stride: 1 or 2.

    Returns:
        [B, ceil(H / stride), ceil(W / stride), F], in the type of x.
    """
    has_gradients = kernel.shape[:2] == (3, 3) or _is_product(kernel, stride)
    if has_gradients and x.dtype in _EXACT and is_traced_for_one_cpu():
        return _with_gradients(x, kernel, stride)
    return _convolve(x, kernel, stride)


def _is_product(kernel: jax.Array, stride: int) -> bool:
    """Whether a convolution is a matrix product, and better written as one.

    XLA's gradient of a 1x1 convolution with respect to its kernel is a convolution by
    a kernel as large as the image, everywhere.
    """
    return kernel.shape[:2] == (1, 1) and stride == 1


def _convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    if _is_product(kernel, stride):
        return jnp.einsum("bhwc,cf->bhwf", x, kernel[0, 0])
    pad = kernel.shape[0] // 2
    return _strided(x, kernel, stride, ((pad, pad), (pad, pad)))


def _strided(x: jax.Array, kernel: jax.Array, stride: int, padding) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _with_gradients(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return _convolve(x, kernel, stride)


def _forward(x, kernel, stride):
    return _convolve(x, kernel, stride), (x, kernel)


def _backward(stride, kept, g):
    x, kernel = kept
    return _input_gradient(x, kernel, g, stride), _kernel_gradient(x, kernel, g, stride)


_with_gradients.defvjp(_forward, _backward)


def _is_small(g: jax.Array, kernel: jax.Array) -> bool:
    """Whether a map has fewer pixels than channels, and the kernel more entries.

    Time then goes into reading the kernel, so it should be read once and in the order
    of the memory.
    """
    return math.prod(g.shape[:3]) <= max(kernel.shape[2:])


def _is_large(g: jax.Array) -> bool:
    return math.prod(g.shape[:3]) >= _LARGE


def _input_gradient(
    x: jax.Array, kernel: jax.Array, g: jax.Array, stride: int
) -> jax.Array:
    """Gradient with respect to x; arguments as of `_kernel_gradient`."""
    if not _is_product(kernel, stride):
        if _is_small(g, kernel):
            return _from_taps(g, kernel, stride, x.shape)
        if stride == 2 and _is_large(g):
            return _by_phases(g, kernel, x.shape)
    return jax.linear_transpose(lambda x: _convolve(x, kernel, stride), x)(g)[0]


def _kernel_gradient(
    x: jax.Array, kernel: jax.Array, g: jax.Array, stride: int
) -> jax.Array:
    """Gradient with respect to the kernel.

    A sum of products, for every tap, of what it read with what comes back.

    Args:
        x: [B, H, W, C], the input.
        kernel: [k, k, C, F].
        g: [B, ceil(H / stride), ceil(W / stride), F], gradient of the result.
        stride: 1 or 2.

    Returns:
        [k, k, C, F].
    """
    if _is_product(kernel, stride):
        return _product(x, g)[None, None]
    if _is_small(g, kernel):
        read = jnp.concatenate(list(_read_by_taps(x, stride, g.shape)), -1)
        return _product(read, g).reshape(kernel.shape)
    if stride == 1:
        return _by_rows_and_columns(x, g)
    if _is_large(g):
        parts = [_product(read, g) for read in _read_by_taps(x, stride, g.shape)]
        return jnp.stack(parts).reshape(kernel.shape)
    of_kernel = functools.partial(_convolve, x, stride=stride)
    return jax.linear_transpose(of_kernel, kernel)(g)[0]


def _product(x: jax.Array, g: jax.Array) -> jax.Array:
    """Sum over all pixels of x times g: [..., C] and [..., F] to [C, F]."""
    # Of two dimensions each: with three to sum over it takes twice as long.
    x, g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    if not _is_long(x, g):
        return jnp.einsum("nc,nf->cf", x, g)
    x, g = (of.reshape(2, -1, of.shape[-1]) for of in (x, g))
    return jnp.einsum("pnc,pnf->pcf", x, g).sum(0)


def _is_long(x: jax.Array, g: jax.Array) -> bool:
    """Whether a product [N, C] by [N, F] is faster as two halves that are added.

    XLA divides what a product writes between threads. Of a long sum over few channels
    that is too little; fewer than 96 by 96 do not gain either way.
    """
    count, narrow, wide = len(x), *sorted((x.shape[-1], g.shape[-1]))
    return count % 2 == 0 and narrow * wide >= 96 * 96 and count >= 24 * wide


def _by_rows_and_columns(x: jax.Array, g: jax.Array) -> jax.Array:
    """Kernel gradient of a 3x3 convolution of stride 1, as one product.

    The column that a tap reads is told by where the input is moved to, the row by
    where the gradient is: three of each, for all nine taps.
    """
    if x.shape[-1] > 3 * g.shape[-1]:
        return _by_moved_gradients(x, g)
    columns = jnp.concatenate(_neighbours(x, 2), -1)
    rows = jnp.concatenate(_neighbours(g, 1)[::-1], -1)
    # Otherwise what made the maps may be computed again for every copy.
    columns, rows = jax.lax.optimization_barrier((columns, rows))
    product = _product(columns, rows).reshape(3, x.shape[-1], 3, g.shape[-1])
    return product.transpose(2, 0, 1, 3)


def _by_moved_gradients(x: jax.Array, g: jax.Array) -> jax.Array:
    """The same where the input is so much wider that it should stay in place.

    The first convolution behind stage 1 reads 256 channels and writes 18.
    """
    moved = [
        both for row in _neighbours(g, 1)[::-1] for both in _neighbours(row, 2)[::-1]
    ]
    taps = jax.lax.optimization_barrier(jnp.concatenate(moved, -1))
    product = _product(x, taps).reshape(x.shape[-1], 3, 3, g.shape[-1])
    return product.transpose(1, 2, 0, 3)


def _neighbours(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Values before, at and after each place along an axis; zeros outside."""
    length = x.shape[axis]
    nothing = jnp.zeros_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis))
    but_last = jax.lax.slice_in_dim(x, 0, length - 1, axis=axis)
    but_first = jax.lax.slice_in_dim(x, 1, length, axis=axis)
    return (
        jnp.concatenate([nothing, but_last], axis),
        x,
        jnp.concatenate([but_first, nothing], axis),
    )


def _read_by_taps(
    x: jax.Array, stride: int, shape: tuple[int, ...]
) -> Iterator[jax.Array]:
    """Of every tap of a 3x3 kernel, row by row, the pixels it reads: [B, h, w, C]."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    padded = jax.lax.optimization_barrier(padded)  # As above.
    b, h, w, _ = shape
    last = (stride * (h - 1) + 1, stride * (w - 1) + 1)
    for row in range(3):
        for column in range(3):
            yield jax.lax.slice(
                padded,
                (0, row, column, 0),
                (b, row + last[0], column + last[1], x.shape[-1]),
                (1, stride, stride, 1),
            )


def _from_taps(
    g: jax.Array, kernel: jax.Array, stride: int, shape: tuple[int, ...]
) -> jax.Array:
    """Input gradient: one product for all taps, each part added where its tap read."""
    size, _, channels, features = kernel.shape
    taps = jnp.einsum(
        "nf,cf->nc", g.reshape(-1, features), kernel.reshape(-1, features)
    )
    taps = taps.reshape(*g.shape[:3], -1)
    # Otherwise the product is merged with what follows and computed for each tap.
    taps = jax.lax.optimization_barrier(taps)
    _, rows, columns, _ = g.shape
    zero = jnp.zeros((), g.dtype)

    def margins(tap: int, count: int, length: int) -> tuple[int, int, int]:
        low = tap - size // 2
        return low, length - low - stride * (count - 1) - 1, stride - 1

    def part_of(tap: int) -> jax.Array:
        part = taps[..., tap * channels : (tap + 1) * channels]
        row = margins(tap // size, rows, shape[1])
        column = margins(tap % size, columns, shape[2])
        return jax.lax.pad(part, zero, ((0, 0, 0), row, column, (0, 0, 0)))

    return functools.reduce(operator.add, map(part_of, range(size * size)))


def _by_phases(g: jax.Array, kernel: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Input gradient of a 3x3 convolution of stride 2.

    An even row was read by the middle tap alone, an odd one by the last tap of the
    result before it and the first of the one after; the same for columns. So each
    combination is a convolution of its own, by one, two or four taps.
    """
    turned = kernel.swapaxes(2, 3)
    taps = (slice(1, 2), slice(2, None, -2))  # of even and odd rows, in that order
    rows = [
        jnp.stack(
            [
                _strided(g, turned[of_rows, of_columns], 1, ((0, down), (0, right)))
                for right, of_columns in enumerate(taps)
            ],
            axis=3,
        )
        for down, of_rows in enumerate(taps)
    ]
    b, h, w, _ = g.shape
    whole = jnp.stack(rows, axis=2).reshape(b, 2 * h, 2 * w, -1)
    return whole[:, : shape[1], : shape[2]]
