"""HRNetV2p, the feature pyramid that detectors read."""

from typing import ClassVar

import jax
from flax import linen as nn

from hrnet_jax.models.model import HRNetWithHead
from hrnet_jax.models.representations import Pyramid


class PyramidHRNet(HRNetWithHead):
    """HRNetV2p.

    Attributes:
        features: channels of every level.
        levels: number of levels; five in all published detectors.
        pooling: `average` or `max`, from level to level.
        stride: of the last convolutions; 2 doubles the strides of all levels
            (mmdetection's FCOS).
    """

    output_kind: ClassVar = "pyramid"
    representations: ClassVar = ("v2p",)
    # Nearest inside the exchange, as all official weights were trained; the reduction
    # is always bilinear.
    backbone_defaults: ClassVar = {"representation": "v2p", "upsample": "nearest"}

    features: int = 256
    levels: int = 5
    pooling: str = "average"
    stride: int = 1

    @property
    def min_size(self) -> int:
        """The last level must see something of the image."""
        return 4 * 2 ** (self.levels - 1)

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        """Maps normalised images to the levels of the pyramid.

        Args:
            images: float [B, H, W, 3], at least 4 * 2**(levels - 1) pixels high
                and wide.
            train: whether batch norm uses and updates batch statistics.

        Returns:
            `levels` float32 maps; level k is [B, h, w, features] with h about
            H / (4 * stride * 2**k).
        """
        return Pyramid(
            self.features,
            self.levels,
            self.pooling,
            self.stride,
            self.dtype,
            name="pyramid",
        )(self.backbone.represent(images, train))
