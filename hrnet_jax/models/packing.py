"""Neighbouring pixels side by side in the channels, for machines with wide lanes.

A TPU keeps the last axis of an array in lanes of 128 values. The 18 channels of
W18's highest branch fill a seventh of them; the rest is padding that is stored,
moved and multiplied all the same. Packed, one *position* holds p neighbouring
pixels of a row, [B, H, W / p, p * C] instead of [B, H, W, C]: the same values in the
same order, so packing is a reshape. A 3x3 convolution of pixels becomes one of
positions, whose kernel has the same entries and zeros elsewhere; sums over pixels
become sums over positions and then over the p parts.

Networks compute the same function packed or not, with the same parameters. What
that saves on a TPU is in docs/performance.md.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim

from hrnet_jax.models.resize import interpolation_matrix


def pixels_per_position(width: int, channels: int, lanes: int, branches: int = 4):
    """How many pixels each branch packs into a position.

    The highest branch packs as many, a power of two, as fit the lanes and divide its
    rows; every further one half of that, so that a stride of two leads from
    positions to positions.

    Args:
        width: of the highest branch, in pixels; symbolic sizes are never packed.
        channels: of the highest branch.
        lanes: values that a machine moves together; 0 packs nothing.
        branches: how many branches.

    Returns:
        One power of two for each branch.
    """
    pixels = 1
    if not is_symbolic_dim(width):
        while 2 * pixels * channels <= lanes and width % (2 * pixels) == 0:
            pixels *= 2
    return tuple(max(1, pixels >> branch) for branch in range(branches))


def pack(x: jax.Array, pixels: int) -> jax.Array:
    """Maps [B, H, W, C] to [B, H, W / pixels, pixels * C]."""
    if pixels == 1:
        return x
    b, h, w, c = x.shape
    return x.reshape(b, h, w // pixels, pixels * c)


def unpack(x: jax.Array, pixels: int) -> jax.Array:
    """Maps [B, H, W / pixels, pixels * C] to [B, H, W, C]."""
    if pixels == 1:
        return x
    b, h, w, c = x.shape
    return x.reshape(b, h, w * pixels, c // pixels)


def convolve_packed(
    x: jax.Array, kernel: jax.Array, stride: int, pixels: int
) -> jax.Array:
    """The convolution of `convolution.convolve`, from positions to positions.

    Args:
        x: [B, H, W / p, p * C] with p = stride * pixels.
        kernel: [k, k, C, F], in float32 or wider: its gradient is a sum of p parts.
        stride: 1 or 2.
        pixels: per position of the result.

    Returns:
        [B, ceil(H / stride), W / p, pixels * F], in the type of x.
    """
    pad = kernel.shape[0] // 2
    wide, before, after = _positions_kernel(kernel, stride, pixels)
    wide = wide.astype(x.dtype)
    if stride == 1 and wide.shape[:2] == (1, 1):
        return jnp.einsum("bhwc,cf->bhwf", x, wide[0, 0])
    return jax.lax.conv_general_dilated(
        x,
        wide,
        window_strides=(stride, 1),
        padding=((pad, pad), (before, after)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _positions_kernel(kernel: jax.Array, stride: int, pixels: int):
    """Kernel between positions, and the positions it reaches before and after.

    Entry [y, o, (s, c), (q, f)] is kernel[y, x, c, f] where pixel s of the position
    at offset o is the one that tap x reads for pixel q of the result.
    """
    k, _, channels, features = kernel.shape
    places = _places(k, stride, pixels)
    taps, inner, _, _ = places.shape
    wide = jnp.einsum(
        "yxcf,osxq->yoscqf",
        kernel,
        jnp.asarray(places, kernel.dtype),
        precision=jax.lax.Precision.HIGHEST,
    ).reshape(k, taps, inner * channels, pixels * features)
    before = -((-(k // 2)) // (stride * pixels))
    return wide, before, taps - 1 - before


@functools.cache
def _places(k: int, stride: int, pixels: int) -> np.ndarray:
    """Where taps read: [offset, pixel of the source, tap, pixel of the result]."""
    inner = stride * pixels
    reach = [
        (tap, q, *divmod(stride * q + tap - k // 2, inner))
        for tap in range(k)
        for q in range(pixels)
    ]
    first = min(offset for _, _, offset, _ in reach)
    last = max(offset for _, _, offset, _ in reach)
    places = np.zeros((last - first + 1, k, inner, pixels))
    for tap, q, offset, s in reach:
        places[offset - first, tap, s, q] = 1
    return places.transpose(0, 2, 1, 3)


def upsample_columns(
    x: jax.Array, factor: int, pixels_in: int, pixels: int
) -> jax.Array:
    """Bilinear upsampling along rows (half-pixel centres), from positions to positions.

    One convolution by the weights of the two nearest pixels, for all pixels of a
    position at once.

    Args:
        x: [B, H, W / pixels_in, pixels_in * C].
        factor: a power of two.
        pixels_in: per position of x.
        pixels: per position of the result; where it is smaller than `factor`, one
            position of x becomes several.

    Returns:
        [B, H, W * factor / pixels, pixels * C], in the type of x.
    """
    b, h, w, packed = x.shape
    channels = packed // pixels_in
    weights = _column_weights(factor, pixels_in)
    kernel = jnp.einsum(
        "osq,cf->oscqf",
        jnp.asarray(weights, x.dtype),
        jnp.eye(channels, dtype=x.dtype),
        precision=jax.lax.Precision.HIGHEST,
    ).reshape(1, 3, packed, packed * factor)
    # Beyond the edges the outermost pixels go on.
    first = jnp.tile(x[:, :, :1, :channels], (1, 1, 1, pixels_in))
    last = jnp.tile(x[:, :, -1:, -channels:], (1, 1, 1, pixels_in))
    y = jax.lax.conv_general_dilated(
        jnp.concatenate([first, x, last], 2),
        kernel,
        window_strides=(1, 1),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y.reshape(b, h, w * pixels_in * factor // pixels, pixels * channels)


@functools.cache
def _column_weights(factor: int, pixels_in: int) -> np.ndarray:
    """What pixels of the result take: [3 positions, pixel of x, pixel of the result]."""
    # Three positions are enough to have no edge in the middle one.
    matrix = interpolation_matrix(3 * pixels_in, 3 * pixels_in * factor, False)
    middle = matrix[pixels_in * factor : 2 * pixels_in * factor]
    return middle.T.reshape(3, pixels_in, pixels_in * factor)
