"""HRNetV2p, the feature pyramid that detectors read."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from hrnet_jax.detection import boxes
from hrnet_jax.detection.postprocess import (
    Candidates,
    Detections,
    chosen_detections,
    joined,
)
from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.models.model import HRNetWithHead
from hrnet_jax.models.representations import Pyramid

Levels = tuple[jax.Array, ...]
# By name, and measures beside them.
Losses = tuple[dict[str, jax.Array], dict[str, jax.Array]]


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
        settings: numbers of the published detector.
    """

    # Statistics stay those of ImageNet, as published; the affine part learns.
    norm_default: ClassVar = "frozen"
    # Whether objects have masks.
    has_masks: ClassVar[bool] = False
    settings: ClassVar[Any]

    num_classes: int = 80

    def pyramid_of(
        self, images: jax.Array, train: bool = False
    ) -> tuple[jax.Array, ...]:
        """The levels in the compute type, in which the heads read them."""
        levels = super().pyramid_of(images, train)
        return tuple(level.astype(self.dtype) for level in levels)

    @property
    def numbers(self) -> Any:
        """Numbers of this detector: `settings`, where no option changes them."""
        return self.settings

    def losses(
        self,
        images: jax.Array,
        image_sizes: jax.Array,
        objects: Objects,
        draw: Draw,
        numbers: Any = None,
    ) -> Losses:
        """Losses of a batch in training, and measures beside them.

        Args:
            images: float [B, H, W, 3], normalised; what is outside the images counts
                as zero.
            image_sizes: int [B, 2], (h, w) of the images in the canvas.
            objects: of the images.
            draw: how samples are drawn, where there are any.
            numbers: those of this detector if None.

        Returns:
            Losses by name, whose sum is to be minimised, and measures by name.
        """
        levels = self.pyramid_of(blank_outside(images, image_sizes), train=True)
        numbers = numbers or self.numbers
        return self._losses(levels, image_sizes, objects, draw, numbers)

    def detect(
        self, images: jax.Array, image_sizes: jax.Array, numbers: Any = None
    ) -> Detections:
        """Objects of a batch; see `losses` for the arguments."""
        numbers = numbers or self.numbers
        levels = self.pyramid_of(blank_outside(images, image_sizes))
        candidates = self._all_candidates(levels, images, image_sizes, numbers)
        found = chosen_detections(
            candidates, numbers.detections, numbers.conventions.plus_one
        )
        return self._with_masks(levels, found, numbers)

    def candidates(
        self, images: jax.Array, image_sizes: jax.Array, numbers: Any = None
    ) -> Candidates:
        """What `detect` would suppress doubles among; see `losses`."""
        numbers = numbers or self.numbers
        levels = self.pyramid_of(blank_outside(images, image_sizes))
        return self._all_candidates(levels, images, image_sizes, numbers)

    def _all_candidates(
        self, levels: Levels, images: jax.Array, image_sizes: jax.Array, numbers: Any
    ) -> Candidates:
        """Candidates of the images, and of their mirror images where wanted."""
        found = self._candidates(levels, image_sizes, numbers)
        if not numbers.detections.flip:
            return found
        mirrored = blank_outside(mirror(images, image_sizes), image_sizes)
        other = self._candidates(self.pyramid_of(mirrored), image_sizes, numbers)
        width = image_sizes[:, 1, None]
        back = boxes.flip(other.boxes, width, numbers.conventions.plus_one)
        return joined(found, other._replace(boxes=back))

    def _losses(
        self,
        levels: Levels,
        image_sizes: jax.Array,
        objects: Objects,
        draw: Draw,
        numbers: Any,
    ) -> Losses:
        """`losses` from the levels of the pyramid."""
        raise NotImplementedError

    def _with_masks(
        self, levels: Levels, found: Detections, numbers: Any
    ) -> Detections:
        """Detections with their masks, of a detector that has any."""
        return found

    def _candidates(
        self, levels: Levels, image_sizes: jax.Array, numbers: Any
    ) -> Candidates:
        """`candidates` from the levels of the pyramid."""
        raise NotImplementedError


def blank_outside(images: jax.Array, image_sizes: jax.Array) -> jax.Array:
    """Images [B, H, W, 3] that are zero outside their sizes [B, 2].

    Padding is published as zeros after normalisation; pixels that were zero before it
    are not.
    """
    rows = jnp.arange(images.shape[1]) < image_sizes[:, :1]
    columns = jnp.arange(images.shape[2]) < image_sizes[:, 1:]
    inside = rows[:, :, None] & columns[:, None]
    return jnp.where(inside[..., None], images, 0)


def mirror(images: jax.Array, image_sizes: jax.Array) -> jax.Array:
    """Images [B, H, W, 3] left to right, each within its own size of [B, 2].

    What is outside of it stays outside, in another order.
    """
    width = images.shape[2]
    places = (image_sizes[:, 1:] - 1 - jnp.arange(width)) % width
    return jnp.take_along_axis(images, places[:, None, :, None], axis=2)
