"""The exchange between resolutions, which ends every module."""

from typing import Any

from flax import linen as nn

from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.layers import ConvNorm, relu
from hrnet_jax.models.packing import Map, upsample_like

Dtype = Any
Maps = tuple[Map, ...]


class DownPath(nn.Module):
    """Strided convolutions from a branch to a lower-resolution one.

    Each step halves the resolution; only the last changes the width, and it
    alone has no ReLU because the exchange ends with one.
    """

    steps: int
    features: int
    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Maps [B, H, W, C] to [B, H / 2**steps, W / 2**steps, features]."""
        features = x.shape[-1]
        for index in range(self.steps):
            is_last = index == self.steps - 1
            x = ConvNorm(
                self.features if is_last else features,
                stride=2,
                relu=not is_last,
                norm=self.norm,
                dtype=self.dtype,
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
    """

    outputs: int
    upsample: str
    norm: NormOptions
    dtype: Dtype

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

    def _path(self, branches: Maps, source: int, target: int, train: bool) -> Map:
        x, goal = branches[source], branches[target]
        if source == target:
            return x
        features, name = goal.shape[-1], f"from{source}_to{target}"
        common = {"norm": self.norm, "dtype": self.dtype, "name": name}
        if source < target:
            return DownPath(target - source, features, **common)(x, train)
        x = ConvNorm(features, 1, relu=False, **common)(x, train)
        return upsample_like(x, goal, 2 ** (source - target), self.upsample)
