"""Representations made of the four resolutions (Figure 3 of the paper).

V1 keeps the highest resolution alone. V1h raises its channels to those of V2 by
a 1x1 convolution. V2 upsamples all four and concatenates them, 15 C channels. V2p
reduces V2 to 256 channels and pools that into a pyramid.

A representation is handed on as the maps that a head still has to join: one map
for V1 and V1h, four for V2, so that a head may convolve before it upsamples.
"""

import functools
import itertools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.export import is_symbolic_dim

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.layers import Conv, at_least_float32, kernel_init
from hrnet_jax.models.parameters import parameter
from hrnet_jax.models.resize import resize, size_of
from hrnet_jax.runtime import whole_operations
from hrnet_jax.runtime.target import is_only_for

Dtype = Any
Maps = tuple[jax.Array, ...]

REPRESENTATIONS = ("v1", "v1h", "v2", "v2p")

POOLINGS = ("average", "max")

# Of the result of a strip of rows.
_STRIP_BYTES = 64 * 2**20


def branches_kept(representation: str) -> int:
    """Resolutions that the very last exchange has to compute.

    V1 and V1h read one, so the paths to the others would be dead weight (pose:
    deep-high-resolution-net.pytorch, `multi_scale_output=False`).

    Raises:
        ConfigError: for an unknown representation.
    """
    if representation not in REPRESENTATIONS:
        raise ConfigError(
            f"unknown representation {representation!r}; "
            f"expected one of {', '.join(REPRESENTATIONS)}"
        )
    return 1 if representation in ("v1", "v1h") else 4


def upsample_between(upsample: str) -> str:
    """Method that joins the resolutions of a representation.

    Nearest is never used for that, only inside the exchange: all official heads
    that read several resolutions are bilinear.
    """
    return "align_corners" if upsample == "align_corners" else "bilinear"


class Project(nn.Module):
    """A 1x1 convolution of the concatenated maps that never builds them.

    HRNetV2 upsamples all branches to the highest resolution and concatenates
    them. A 1x1 convolution of that equals the sum of the upsampled 1x1
    convolutions of each branch, so each branch is convolved at its own
    resolution with its slice of the one kernel: the same function to
    rounding, with a fraction of the multiply-adds and memory.

    Attributes:
        features: output channels; None keeps the sum of the input channels.
        upsample: `bilinear` or `align_corners`.
        use_bias: whether to add a bias.
        dtype: compute type; parameters stay float32.
    """

    features: int | None = None
    upsample: str = "bilinear"
    use_bias: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, maps: Maps, rows: int | None = None) -> jax.Array:
        """Maps maps [B, H_b, W_b, C_b] to [B, H_0, W_0, features].

        Args:
            maps: of all resolutions; of a strip, as from `Strips`, ...
            rows: ... of so many rows of the result.
        """
        widths = [x.shape[-1] for x in maps]
        features = self.features or sum(widths)
        shape = (1, 1, sum(widths), features)
        kernel = parameter(self, "kernel", kernel_init, shape)
        kernel = kernel[0, 0].astype(self.dtype)
        height, width = size_of(maps[0])

        def part(x: jax.Array, end: int) -> jax.Array:
            own = kernel[end - x.shape[-1] : end]
            y = jnp.einsum("bhwc,cf->bhwf", x.astype(self.dtype), own)
            if rows is None:
                return resize(y, (height, width), self.upsample)
            # Of the rows around the strip nothing is wanted.
            around = rows // (x.shape[1] - 2)
            y = resize(y, (rows + 2 * around, width), self.upsample)
            return y[:, around : around + rows]

        ends = itertools.accumulate(widths)
        total = functools.reduce(operator.add, map(part, maps, ends))
        if self.use_bias:
            bias = parameter(self, "bias", nn.initializers.zeros, (features,))
            total = total + bias.astype(self.dtype)
        return total


class Strips:
    """Strips of rows in which `Project`, and what follows pixel by pixel, can be computed.

    Whole, the result and the upsampled maps that are added up to it are the most memory
    that a network without gradients needs: 1.6 GB beside 0.3 GB of weights for W48 at
    1024x2048. Accelerators fuse all of it; on a CPU strips cost only the rows
    around them.

    Attributes:
        rows: of a strip of the result; None where strips bring nothing, or where rows
            of a map are not a whole number of rows of the result.

    Args:
        maps: of all resolutions.
        features: channels of the result.
        upsample: between them; with `align_corners` the place of a row depends on the
            whole map, so there are no strips.
    """

    def __init__(self, maps: Maps, features: int, upsample: str):
        self._maps = maps
        self.rows: int | None = None
        if upsample != "bilinear" or any(map(_is_symbolic, maps)):
            return
        if whole_operations.are_kept():
            return  # loops are no operations of exported files
        batch, height, width, _ = maps[0].shape
        row_bytes = 4 * batch * width * features
        if any(height % x.shape[1] for x in maps) or not is_only_for("cpu"):
            return
        if row_bytes * height <= _STRIP_BYTES:
            return
        step = math.lcm(*(height // x.shape[1] for x in maps))
        most = min(_STRIP_BYTES // row_bytes, height - 1)
        fitting = (rows for rows in range(step, most + 1, step) if height % rows == 0)
        self.rows = max(fitting, default=None)

    @property
    def starts(self) -> jax.Array:
        """First rows of the strips in the result."""
        assert self.rows is not None
        return jnp.arange(0, self._maps[0].shape[1], self.rows)

    def maps(self, start: jax.Array) -> Maps:
        """Of each map the rows of a strip, and one more on either side."""
        assert self.rows is not None
        height = self._maps[0].shape[1]
        found = []
        for x in self._maps:
            factor = height // x.shape[1]
            # The outermost rows once more, as upsampling takes them.
            x = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), "edge")
            rows = self.rows // factor + 2
            found.append(jax.lax.dynamic_slice_in_dim(x, start // factor, rows, 1))
        return tuple(found)


def concatenate(maps: Maps, upsample: str) -> jax.Array:
    """HRNetV2's representation itself: [B, H_0, W_0, 15 C].

    Only for what is more than a 1x1 convolution; see `Project` for the others.
    """
    size = size_of(maps[0])
    return jnp.concatenate([resize(x, size, upsample) for x in maps], -1)


class Pyramid(nn.Module):
    """HRNetV2p: V2 reduced to few channels, pooled, one 3x3 convolution a level.

    Level k averages (or takes the largest of) windows of 2**k pixels of the
    reduced map and drops incomplete ones. No convolution has a norm or a ReLU.
    Source: `HRFPN` of HRNet-Object-Detection and of mmdetection.

    Attributes:
        features: channels of every level.
        levels: number of levels; five in all published detectors.
        pooling: `average` or `max`.
        stride: of the last convolutions; mmdetection's FCOS uses 2, so that its
            levels have strides 8 to 128 instead of 4 to 64.
        dtype: compute type; results are float32.
    """

    features: int = 256
    levels: int = 5
    pooling: str = "average"
    stride: int = 1
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, maps: Maps) -> Maps:
        """Maps the four branches to `levels` float32 maps, each half the last."""
        x = Project(self.features, "bilinear", dtype=self.dtype, name="reduce")(maps)
        _check_holds_window(x, 2 ** (self.levels - 1))
        results = []
        for level in range(self.levels):
            if level:
                # A window is four of half the side; the gradient of windows of 16
                # was a tenth of a training step on a CPU.
                x = pool(x, 2, self.pooling)
            y = Conv(
                self.features,
                stride=self.stride,
                use_bias=True,
                dtype=self.dtype,
                name=f"level{level}",
            )(x)
            results.append(at_least_float32(y))
        return tuple(results)


def pool(x: jax.Array, side: int, method: str) -> jax.Array:
    """Pools windows of side x side pixels that do not overlap.

    Args:
        x: [B, H, W, C].
        side: of a window; also the stride.
        method: `average` or `max`.

    Returns:
        [B, floor(H / side), floor(W / side), C].

    Raises:
        ConfigError: for an unknown method, or a map smaller than one window
            (sizes that are symbolic are not checked).
    """
    if method not in POOLINGS:
        raise ConfigError(
            f"unknown pooling {method!r}; expected one of {', '.join(POOLINGS)}"
        )
    if side == 1:
        return x
    _check_holds_window(x, side)
    if method == "average" and is_only_for("cpu") and not _is_symbolic(x):
        # Its gradient repeats pixels, which is faster there than sums of windows.
        b, h, w, c = x.shape[0], x.shape[1] // side, x.shape[2] // side, x.shape[3]
        whole = x[:, : h * side, : w * side]
        return whole.reshape(b, h, side, w, side, c).mean((2, 4))
    window = (side, side)
    pool = nn.avg_pool if method == "average" else nn.max_pool
    return pool(x, window, strides=window, padding="VALID")


def _is_symbolic(x: jax.Array) -> bool:
    """Whether a dimension is known only when an exported program runs."""
    return any(map(is_symbolic_dim, x.shape))


def _check_holds_window(x: jax.Array, side: int) -> None:
    """Refuses a map [B, H, W, C] at a quarter of the image that has no whole window."""
    # Symbolic sizes are the exporter's to bound; a comparison may be undecidable.
    if any(n < side for n in size_of(x) if not is_symbolic_dim(n)):
        raise ConfigError(
            f"a map of {x.shape[1]}x{x.shape[2]} has no window of {side}x{side}: the "
            f"image must be at least {4 * side} pixels high and wide"
        )
