"""Detectors with proposals: Faster, Mask, Cascade and Cascade Mask R-CNN."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from hrnet_jax.detection import box_head, mask_head
from hrnet_jax.detection.box_head import BoxHead
from hrnet_jax.detection.mask_head import MaskHead
from hrnet_jax.detection.model import Detector
from hrnet_jax.detection.rpn import RPN
from hrnet_jax.models.facts import LayerInit

# As mmdetection starts its heads.
_INIT = {
    r"rpn/\w+": LayerInit(0.01),
    r"box_head\d?/fc[12]": LayerInit("xavier"),
    r"box_head\d?/classes": LayerInit(0.01),
    r"box_head\d?/deltas": LayerInit(0.001),
    r"mask_head\d?/\w+": LayerInit("he"),
}


class FasterRCNN(Detector):
    """Faster R-CNN on HRNetV2p: proposals, then class and box of each.

    Attributes:
        head_width: of the hidden layers of the box heads.
        anchors: at every position of every level.
        stages: number of box heads in a row.
        has_masks: whether every stage has a mask head.
        class_agnostic: whether all classes share the box of a region.
    """

    output_kind: ClassVar = "faster_rcnn"
    init_layers: ClassVar = _INIT
    stages: ClassVar[int] = 1
    has_masks: ClassVar[bool] = False
    class_agnostic: ClassVar[bool] = False

    head_width: int = 1024
    anchors: int = 3

    def setup(self):
        super().setup()
        self.rpn = RPN(self.features, self.anchors, self.dtype)
        for stage in range(self.stages):
            end = str(stage) if self.stages > 1 else ""
            box = BoxHead(
                self.num_classes, self.head_width, self.class_agnostic, self.dtype
            )
            setattr(self, f"box_head{end}", box)
            if self.has_masks:
                mask = MaskHead(self.num_classes, self.features, self.dtype)
                setattr(self, f"mask_head{end}", mask)

    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[tuple[jax.Array, jax.Array], ...]:
        """Maps normalised images [B, H, W, 3] to logits and deltas of all anchors.

        Returns:
            For every level logits [B, h, w, A] and deltas [B, h, w, A, 4], float32.
        """
        levels = self.pyramid_of(images, train)
        if self.is_initializing():
            for stage in range(self.stages):
                self.classify(self._pooled(box_head.POOLED), stage)
                if self.has_masks:
                    self.masks(self._pooled(mask_head.POOLED), stage)
        return self.propose(levels)

    def propose(
        self, levels: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array], ...]:
        """Logits and deltas of all anchors, see `__call__`."""
        return tuple(map(self.rpn, levels))

    def classify(
        self, pooled: jax.Array, stage: int = 0
    ) -> tuple[jax.Array, jax.Array]:
        """Classes and boxes of pooled RoIs [R, 7, 7, C]; see `BoxHead`."""
        return self._head("box", stage)(pooled)

    def masks(self, pooled: jax.Array, stage: int = 0) -> jax.Array:
        """Logits of the masks of pooled RoIs [R, 14, 14, C]; see `MaskHead`."""
        return self._head("mask", stage)(pooled)

    def _head(self, kind: str, stage: int):
        return getattr(self, f"{kind}_head{stage if self.stages > 1 else ''}")

    def _pooled(self, side: int) -> jax.Array:
        return jnp.zeros((1, side, side, self.features), self.dtype)


class MaskRCNN(FasterRCNN):
    """Mask R-CNN on HRNetV2p: Faster R-CNN and a mask of every object."""

    output_kind: ClassVar = "mask_rcnn"
    has_masks: ClassVar = True


class CascadeRCNN(FasterRCNN):
    """Cascade R-CNN on HRNetV2p (Cai & Vasconcelos 2018): three box heads in a row."""

    output_kind: ClassVar = "cascade_rcnn"
    stages: ClassVar = 3
    class_agnostic: ClassVar = True


class CascadeMaskRCNN(CascadeRCNN):
    """Cascade R-CNN with a mask head at every stage."""

    output_kind: ClassVar = "cascade_mask_rcnn"
    has_masks: ClassVar = True
