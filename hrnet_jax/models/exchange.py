"""The exchange between resolutions, which ends every module."""

from typing import Any

import jax
from flax import linen as nn

from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.layers import ConvNorm, relu
from hrnet_jax.models.packing import pack, unpack, upsample_columns
from hrnet_jax.models.resize import BY_FACTOR, resize

Dtype = Any
Maps = tuple[jax.Array, ...]


class DownPath(nn.Module):
    """Strided convolutions from a branch to a lower-resolution one.

    Each step halves the resolution; only the last changes the width, and it
    alone has no ReLU because the exchange ends with one. Positions hold half as
    many pixels after each step.
    """

    steps: int
    features: int
    norm: NormOptions
    dtype: Dtype
    pixels: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, H / 2**steps, W / 2**steps, features], or packed."""
        pixels, features = self.pixels, x.shape[-1] // self.pixels
        for index in range(self.steps):
            is_last = index == self.steps - 1
            x = ConvNorm(
                self.features if is_last else features,
                stride=2,
                relu=not is_last,
                norm=self.norm,
                dtype=self.dtype,
                pixels_in=pixels,
                pixels=(pixels := max(1, pixels // 2)),
                name=f"step{index}",
            )(x, train)
        return x


class Exchange(nn.Module):
    """Every resolution receives the sum of all of them, then a ReLU.

    From a lower resolution: 1x1 convolution and norm, then upsampling to the
    size of the target branch (so any input size works). From a higher one:
    stride-2 convolutions.

    Attributes:
        outputs: number of resolutions to compute, the highest first.
        upsample: resize method.
        pixels: that positions of each branch hold, see `packing`.
    """

    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype
    pixels: tuple[int, ...] = (1, 1, 1, 1)

    @nn.compact
    def __call__(self, branches: Maps, train: bool) -> Maps:
        """Maps n maps at n resolutions to the first `outputs` of them."""
        results = []
        for target in range(self.outputs):
            # Summed from the highest resolution down, the official order.
            total = self._path(branches, 0, target, train)
            for source in range(1, len(branches)):
                total = total + self._path(branches, source, target, train)
            results.append(relu(total))
        return tuple(results)

    def _path(self, branches: Maps, source: int, target: int, train: bool) -> jax.Array:
        x, goal = branches[source], branches[target]
        if source == target:
            return x
        features = goal.shape[-1] // self.pixels[target]
        pixels, name = self.pixels[source], f"from{source}_to{target}"
        common = {"norm": self.norm, "dtype": self.dtype, "name": name}
        if source < target:
            down = DownPath(target - source, features, pixels=pixels, **common)
            return down(x, train)
        x = ConvNorm(
            features, 1, relu=False, pixels_in=pixels, pixels=pixels, **common
        )(x, train)
        return self._upsample(x, source, target, goal)

    def _upsample(
        self, x: jax.Array, source: int, target: int, goal: jax.Array
    ) -> jax.Array:
        """Resizes a map to the size of the target branch, as packed as that."""
        factor, pixels = 2 ** (source - target), self.pixels[target]
        height, width = goal.shape[1], goal.shape[2] * pixels
        if pixels > 1 and self.upsample == "bilinear":
            pixels_in = self.pixels[source]
            if width == x.shape[2] * pixels_in * factor:
                x = upsample_columns(x, factor, pixels_in, pixels)
                return resize(x, goal.shape[1:3])
        x = unpack(x, self.pixels[source])
        method = self.upsample
        if method == BY_FACTOR:
            x = resize(x, (x.shape[1] * factor, x.shape[2] * factor))
            method = "bilinear"
        return pack(resize(x, (height, width), method), pixels)
