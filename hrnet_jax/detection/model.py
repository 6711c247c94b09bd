"""HRNetV2p, the feature pyramid that detectors read."""

from typing import Any, ClassVar

import jax

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

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image, in each direction, to one of each level."""
        return tuple(4 * self.stride * 2**level for level in range(self.levels))

    def setup(self):
        super().setup()
        self.pyramid = Pyramid(
            self.features, self.levels, self.pooling, self.stride, self.dtype
        )

    def __call__(self, images: jax.Array, train: bool = False) -> Any:
        """Maps normalised images to the levels of the pyramid.

        Args:
            images: float [B, H, W, 3], at least 4 * 2**(levels - 1) pixels high
                and wide.
            train: whether batch norm uses and updates batch statistics.

        Returns:
            `levels` float32 maps; level k is [B, h, w, features] with h about
            H / (4 * stride * 2**k).
        """
        return self.pyramid_of(images, train)

    def pyramid_of(
        self, images: jax.Array, train: bool = False
    ) -> tuple[jax.Array, ...]:
        """The levels of the pyramid, see `__call__`."""
        levels: tuple[jax.Array, ...] = self.pyramid(
            self.backbone.represent(images, train)
        )
        return levels


class Detector(PyramidHRNet):
    """Base of the detectors: HRNetV2p and heads that read its levels.

    Heads are methods, so that one tree of parameters serves training, prediction and
    each part alone: `model.apply(variables, images, method="pyramid_of")`.

    Attributes:
        num_classes: classes of objects, without the background.
    """

    # Statistics stay those of ImageNet, as published; the affine part learns.
    norm_default: ClassVar = "frozen"
    # Whether objects have masks.
    has_masks: ClassVar[bool] = False

    num_classes: int = 80

    def pyramid_of(
        self, images: jax.Array, train: bool = False
    ) -> tuple[jax.Array, ...]:
        """The levels in the compute type, in which the heads read them."""
        levels = super().pyramid_of(images, train)
        return tuple(level.astype(self.dtype) for level in levels)
