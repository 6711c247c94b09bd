"""Neighbouring pixels side by side in the channels, for machines with wide lanes.

A TPU keeps the last axis of an array in lanes of 128 values. The 18 channels of
W18's highest branch fill a seventh of them; the rest is padding that is stored,
moved and multiplied all the same. Packed, one *position* holds p neighbouring
pixels of a row, [B, H, W / p, p * C] instead of [B, H, W, C]: the same values in the
same order, so packing is a reshape. A 3x3 convolution of pixels becomes one of
positions, whose kernel has the same entries and zeros elsewhere; sums over pixels
become sums over positions and then over the p parts.

`PackedMap` is such a map. Layers of the body take one wherever they take an array and
return one; a stride of two halves the pixels per position, as it halves a row. So
only `hrnet.py` packs, at the stem and behind stage 1, and unpacks what leaves the body.

Networks compute the same function packed or not, with the same parameters. What
that saves on a TPU is in docs/performance.md.
"""

import functools
from typing import overload

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim

from hrnet_jax.models.convolution import convolve
from hrnet_jax.models.resize import BY_FACTOR, interpolation_matrix, resize, size_of


@flax.struct.dataclass
class PackedMap:
    """A map whose positions hold several pixels; where it counts them, of pixels.

    A pytree of one array: `jit`, `vjp`, `remat` and shardings take it as they do an
    array of positions.

    Attributes:
        values: [B, H, W / pack_width, pack_width * C].
        pack_width: neighbouring pixels of a row in each position.
    """

    values: jax.Array
    pack_width: int = flax.struct.field(pytree_node=False)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, H, W, C) of the map unpacked."""
        b, h, w, c = self.values.shape
        return b, h, w * self.pack_width, c // self.pack_width

    @property
    def dtype(self) -> jnp.dtype:
        return self.values.dtype

    def astype(self, dtype: jnp.dtype) -> "PackedMap":
        return PackedMap(self.values.astype(dtype), self.pack_width)

    def __add__(self, other: "PackedMap | jax.Array") -> "PackedMap":
        """Adds a map that is packed alike, or a vector [C] to every pixel."""
        if not isinstance(other, PackedMap):
            if other.ndim != 1:
                raise ValueError(
                    f"a map of {self.pack_width} pixels a position and an array of "
                    f"shape {other.shape} cannot be added"
                )
            vector = jnp.tile(other, self.pack_width)
            return PackedMap(self.values + vector, self.pack_width)
        if other.pack_width != self.pack_width:
            raise ValueError(
                f"maps of {self.pack_width} and {other.pack_width} pixels a position "
                "cannot be added"
            )
        return PackedMap(self.values + other.values, self.pack_width)

    __radd__ = __add__
    # Otherwise an array of NumPy adds a map to each of its numbers.
    __array_ufunc__ = None


# What layers of the body take and return: [B, H, W, C], packed or not.
Map = jax.Array | PackedMap


def pack_width(width: int, channels: int, lanes: int) -> int:
    """How many pixels of a map to pack into a position.

    As many, a power of two, as fit the lanes and divide the rows.

    Args:
        width: of the map, in pixels; symbolic sizes are never packed.
        channels: of the map.
        lanes: values that a machine moves together; 0 packs nothing.
    """
    pixels = 1
    if not is_symbolic_dim(width):
        while 2 * pixels * channels <= lanes and width % (2 * pixels) == 0:
            pixels *= 2
    return pixels


def pack(x: Map, pixels: int) -> Map:
    """Puts so many pixels into each position, which have to divide the rows.

    Args:
        x: a map, packed in whatever way.
        pixels: 1 gives an array.
    """
    if pixels == pack_width_of(x):
        return x
    b, h, w, c = x.shape
    return as_map(values_of(x).reshape(b, h, w // pixels, pixels * c), pixels)


def unpack(x: Map) -> jax.Array:
    """The array [B, H, W, C] of a map."""
    pixels = pack_width_of(x)
    if pixels == 1:
        return values_of(x)
    b, h, w, c = x.shape
    return values_of(x).reshape(b, h, w, c)


def pack_width_of(x: Map) -> int:
    """Pixels in each position of a map."""
    return x.pack_width if isinstance(x, PackedMap) else 1


def values_of(x: Map) -> jax.Array:
    """The array of a map as it is: of pixels, or of positions."""
    return x.values if isinstance(x, PackedMap) else x


def as_map(values: jax.Array, pixels: int) -> Map:
    """The map of these positions, an array where they are pixels."""
    return values if pixels == 1 else PackedMap(values, pixels)


@overload
def convolve_map(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array: ...
@overload
def convolve_map(x: Map, kernel: jax.Array, stride: int) -> Map: ...
def convolve_map(x: Map, kernel: jax.Array, stride: int) -> Map:
    """`convolution.convolve` of a map in the type of the map.

    Args:
        x: [B, H, W, C].
        kernel: [k, k, C, F], in float32 or wider.
        stride: 1 or 2.

    Returns:
        [B, ceil(H / stride), ceil(W / stride), F], of 1 / stride as many pixels a
        position.
    """
    if not isinstance(x, PackedMap):
        return convolve(x, kernel.astype(x.dtype), stride)
    pixels = x.pack_width // stride
    return as_map(convolve_packed(x.values, kernel, stride, pixels), pixels)


def upsample_like(x: Map, goal: Map, factor: int, method: str) -> Map:
    """Resizes a map of a lower branch to the size of a higher one, packed as that is.

    Args:
        x: [B, h, w, C], where h and w are those of the goal divided by the factor and
            rounded up.
        goal: [B, H, W, ...].
        factor: a power of two.
        method: one of `resize.EXCHANGE_METHODS`.

    Returns:
        [B, H, W, C].
    """
    size, pixels = size_of(goal), pack_width_of(goal)
    is_whole = size[1] == x.shape[2] * factor
    if pixels > 1 and method == "bilinear" and is_whole:
        columns = upsample_columns(values_of(x), factor, pack_width_of(x), pixels)
        return PackedMap(resize(columns, (size[0], columns.shape[2])), pixels)
    x = unpack(x)
    if method == BY_FACTOR:
        x = resize(x, (x.shape[1] * factor, x.shape[2] * factor))
        method = "bilinear"
    return pack(resize(x, size, method), pixels)


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
    # Beyond the edges the outermost pixels are repeated.
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
