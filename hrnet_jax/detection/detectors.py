"""Faster, Mask, Cascade and Cascade Mask R-CNN and FCOS on HRNetV2p."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp

from hrnet_jax.detection import box_head, mask_head, settings
from hrnet_jax.detection.box_head import BoxHead
from hrnet_jax.detection.fcos import GROUPS, FCOSHead, FCOSOutputs
from hrnet_jax.detection.mask_head import MaskHead
from hrnet_jax.detection.model import Detector, Levels, Losses
from hrnet_jax.detection.one_stage import fcos_candidates, fcos_losses
from hrnet_jax.detection.postprocess import Candidates, Detections
from hrnet_jax.detection.rpn import RPN
from hrnet_jax.detection.settings import FCOSSettings, TwoStageSettings
from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.detection.two_stage import (
    detection_masks,
    two_stage_candidates,
    two_stage_losses,
)
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.facts import LayerInit

# As mmdetection starts its heads.
_INIT = {
    r"rpn/\w+": LayerInit(0.01),
    r"box_head\d?/fc[12]": LayerInit("xavier"),
    r"box_head\d?/classes": LayerInit(0.01),
    r"box_head\d?/deltas": LayerInit(0.001),
    r"mask_head\d?/\w+": LayerInit("he"),
}

# Scores of a fresh network: -log((1 - p) / p) of p = .01 (Lin et al. 2017, section 4.1).
_PRIOR = -math.log((1 - 0.01) / 0.01)


class FasterRCNN(Detector):
    """Faster R-CNN on HRNetV2p: proposals, then class and box of each.

    Attributes:
        head_width: of the hidden layers of the box heads.
        anchors: at every position of every level.
        anchor_scale: side of anchors, in strides of their level.
        finest: side of regions, in pixels, that are read from the second level.
        conventions: `modern`, or `v1` of the paper's fork of mmdetection.
        class_agnostic: whether all classes share the box of a region; as published, a
            cascade does, others have one for every class.
        settings: numbers of the published detector.
        stages: number of box heads in a row.
        has_masks: whether every stage has a mask head.
    """

    output_kind: ClassVar = "faster_rcnn"
    init_layers: ClassVar = _INIT
    settings: ClassVar[TwoStageSettings] = settings.FASTER
    stages: ClassVar[int] = 1
    has_masks: ClassVar[bool] = False

    head_width: int = 1024
    anchors: int = 3
    anchor_scale: float = 8.0
    finest: float = 56.0
    conventions: str = "modern"
    class_agnostic: bool = False

    def __post_init__(self):
        if self.conventions not in ("modern", "v1"):
            raise ConfigError(
                "model option 'conventions' must be modern or v1, got "
                f"{self.conventions!r}"
            )
        super().__post_init__()

    @property
    def numbers(self) -> TwoStageSettings:
        """Numbers of this detector, with its options."""
        found = self.settings
        if self.conventions == "v1":
            found = settings.v1(found)
        rpn = dataclasses.replace(found.rpn, scales=(self.anchor_scale,))
        return dataclasses.replace(found, rpn=rpn, finest=self.finest)

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

    def _losses(
        self,
        levels: Levels,
        image_sizes: jax.Array,
        objects: Objects,
        draw: Draw,
        numbers: TwoStageSettings,
    ) -> Losses:
        return two_stage_losses(self, levels, image_sizes, objects, draw, numbers)

    def _with_masks(
        self, levels: Levels, found: Detections, numbers: TwoStageSettings
    ) -> Detections:
        if not self.has_masks:
            return found
        return found._replace(masks=detection_masks(self, levels, found, numbers))

    def _candidates(
        self, levels: Levels, image_sizes: jax.Array, numbers: TwoStageSettings
    ) -> Candidates:
        return two_stage_candidates(self, levels, image_sizes, numbers)

    def _head(self, kind: str, stage: int):
        return getattr(self, f"{kind}_head{stage if self.stages > 1 else ''}")

    def _pooled(self, side: int) -> jax.Array:
        return jnp.zeros((1, side, side, self.features), self.dtype)


class MaskRCNN(FasterRCNN):
    """Mask R-CNN on HRNetV2p: Faster R-CNN and a mask of every object."""

    output_kind: ClassVar = "mask_rcnn"
    settings: ClassVar = settings.MASK
    has_masks: ClassVar = True


class CascadeRCNN(FasterRCNN):
    """Cascade R-CNN on HRNetV2p (Cai & Vasconcelos 2018): three box heads in a row."""

    output_kind: ClassVar = "cascade_rcnn"
    settings: ClassVar = settings.CASCADE
    stages: ClassVar = 3

    class_agnostic: bool = True


class CascadeMaskRCNN(CascadeRCNN):
    """Cascade R-CNN with a mask head at every stage."""

    output_kind: ClassVar = "cascade_mask_rcnn"
    has_masks: ClassVar = True


class FCOS(Detector):
    """FCOS on HRNetV2p: class, box and centerness at every position of every level."""

    output_kind: ClassVar = "fcos"
    settings: ClassVar[FCOSSettings] = settings.FCOS
    init_layers: ClassVar = {
        r"fcos/classes": LayerInit(0.01, bias=_PRIOR),
        r"fcos/(deltas|centerness)": LayerInit(0.01),
        r"fcos/\w+_tower\d/conv": LayerInit(0.01),
    }

    # Levels of strides 8 to 128.
    stride: int = 2

    def __post_init__(self):
        if self.features % GROUPS:
            raise ConfigError(
                f"model option 'features' is {self.features}; group norm of FCOS needs "
                f"a multiple of {GROUPS}"
            )
        super().__post_init__()

    def setup(self):
        super().setup()
        self.fcos = FCOSHead(self.num_classes, self.features, self.dtype)

    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[FCOSOutputs, ...]:
        """Maps normalised images [B, H, W, 3] to the outputs of every level."""
        return self.heads(self.pyramid_of(images, train))

    def heads(self, levels: tuple[jax.Array, ...]) -> tuple[FCOSOutputs, ...]:
        """Outputs of every level of a pyramid."""
        return tuple(self.fcos(level, index) for index, level in enumerate(levels))

    def _losses(
        self,
        levels: Levels,
        image_sizes: jax.Array,
        objects: Objects,
        draw: Draw,
        numbers: FCOSSettings,
    ) -> Losses:
        """Of all points: nothing is drawn here."""
        outputs = self.heads(levels)
        return fcos_losses(outputs, objects, self.strides, numbers), {}

    def _candidates(
        self, levels: Levels, image_sizes: jax.Array, numbers: FCOSSettings
    ) -> Candidates:
        return fcos_candidates(self.heads(levels), image_sizes, self.strides, numbers)
