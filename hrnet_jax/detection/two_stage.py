"""Training and prediction of detectors with proposals, from the levels of a pyramid.

The detector is a module whose heads can be called: bound to variables, or itself inside
one of its methods. Images of a batch share one list of regions, so that heads see
[B * R, ...].
"""

from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp

from hrnet_jax.detection import box_head, mask_head
from hrnet_jax.detection.masks import mask_loss, mask_targets
from hrnet_jax.detection.postprocess import (
    Candidates,
    Detections,
    class_candidates,
)
from hrnet_jax.detection.proposals import (
    Proposals,
    propose,
    rpn_losses,
    rpn_targets,
)
from hrnet_jax.detection.regions import (
    box_losses,
    decode_in_images,
    draw_regions,
    refine,
)
from hrnet_jax.detection.roi_align import roi_align
from hrnet_jax.detection.settings import TwoStageSettings
from hrnet_jax.detection.targets import Draw, Objects

Levels = tuple[jax.Array, ...]


class Heads(Protocol):
    """What is needed of a detector."""

    has_masks: ClassVar[bool]

    @property
    def strides(self) -> tuple[int, ...]: ...

    def propose(self, levels: Levels) -> tuple[tuple[jax.Array, jax.Array], ...]: ...
    def classify(
        self, pooled: jax.Array, stage: int
    ) -> tuple[jax.Array, jax.Array]: ...
    def masks(self, pooled: jax.Array, stage: int) -> jax.Array: ...


def pool_regions(
    levels: Levels,
    boxes: jax.Array,
    valid: jax.Array,
    side: int,
    heads: Heads,
    settings: TwoStageSettings,
) -> jax.Array:
    """Features of regions, each from the level of its size.

    Args:
        levels: of the pyramid; the last one is for the RPN alone.
        boxes: [B, R, 4] in pixels of the canvas. No gradient reaches them.
        valid: bool [B, R].
        side: of the result.
        heads: of the detector.
        settings: numbers.

    Returns:
        [B * R, side, side, C].
    """
    pooled = roi_align(
        levels[:-1],
        boxes,
        valid,
        side,
        settings.conventions,
        settings.finest,
        heads.strides[:-1],
    )
    return pooled.reshape(-1, *pooled.shape[2:])


def classify_regions(
    heads: Heads,
    levels: Levels,
    boxes: jax.Array,
    valid: jax.Array,
    stage: int,
    settings: TwoStageSettings,
) -> tuple[jax.Array, jax.Array]:
    """Logits [B, R, K + 1] and deltas [B, R, K or 1, 4] of regions."""
    pooled = pool_regions(levels, boxes, valid, box_head.POOLED, heads, settings)
    logits, deltas = heads.classify(pooled, stage)
    batch = boxes.shape[0]
    return (
        logits.reshape(batch, -1, logits.shape[-1]),
        deltas.reshape(batch, -1, *deltas.shape[1:]),
    )


def region_masks(
    heads: Heads,
    levels: Levels,
    boxes: jax.Array,
    valid: jax.Array,
    stage: int,
    settings: TwoStageSettings,
) -> jax.Array:
    """Logits [B, R, 28, 28, K] of the masks of regions."""
    pooled = pool_regions(levels, boxes, valid, mask_head.POOLED, heads, settings)
    logits = heads.masks(pooled, stage)
    return logits.reshape(boxes.shape[0], -1, *logits.shape[1:])


def two_stage_losses(
    heads: Heads,
    levels: Levels,
    image_sizes: jax.Array,
    objects: Objects,
    draw: Draw,
    settings: TwoStageSettings,
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Losses of all heads for a batch.

    Proposals and the boxes of earlier stages pass no gradient on.

    Args:
        heads: of the detector.
        levels: of the pyramid.
        image_sizes: int [B, 2], (h, w) of the images in the canvas.
        objects: of the images.
        draw: how samples are drawn.
        settings: numbers.

    Returns:
        Losses by name, weighted, whose sum is to be minimised: `rpn_class`, `rpn_box`,
        `class`, `box`, `mask`, in a cascade `class0`, `class1`, ... And measures:
        `accuracy` of the regions' classes.
    """
    outputs = heads.propose(levels)
    common = heads.strides, settings.rpn, settings.conventions
    targets = rpn_targets(outputs, image_sizes, objects, draw, *common)
    losses = rpn_losses(outputs, targets, settings.rpn)
    measures = {}
    boxes, _, valid = propose(outputs, image_sizes, *common, train=True)
    for index, stage in enumerate(settings.stages):
        end = str(index) if len(settings.stages) > 1 else ""
        regions = draw_regions(boxes, valid, objects, draw, index, settings)
        used = regions.sample.valid
        logits, deltas = classify_regions(
            heads, levels, regions.boxes, used, index, settings
        )
        found = box_losses(logits, deltas, regions, objects, stage, settings)
        measures[f"accuracy{end}"] = found.pop("accuracy")
        if heads.has_masks:
            most = settings.most_positive
            mine = regions.boxes[:, :most], regions.sample.positive[:, :most]
            predicted = region_masks(heads, levels, *mine, index, settings)
            wanted = mask_targets(regions, objects, most)
            found["mask"] = mask_loss(predicted, regions, objects, wanted)
        losses |= {f"{name}{end}": stage.weight * one for name, one in found.items()}
        if index + 1 < len(settings.stages):
            moves = deltas[:, :, 0]
            boxes, valid = refine(regions, moves, image_sizes, stage, settings)
    return losses, measures


def two_stage_candidates(
    heads: Heads,
    levels: Levels,
    image_sizes: jax.Array,
    settings: TwoStageSettings,
    proposals: Proposals | None = None,
) -> Candidates:
    """What may be detected in a batch: every proposal with every class.

    In a cascade, regions are those that the stage before has moved; class scores are
    those of the mean of all logits, boxes those of the last stage.

    Args:
        heads: of the detector.
        levels: of the pyramid.
        image_sizes: int [B, 2], (h, w) of the images in the canvas.
        settings: numbers.
        proposals: instead of those of the detector.
    """
    if proposals is None:
        common = heads.strides, settings.rpn, settings.conventions
        proposals = propose(heads.propose(levels), image_sizes, *common, train=False)
    boxes, valid = proposals.boxes, proposals.valid
    total: jax.Array | float = 0.0
    for index, stage in enumerate(settings.stages):
        logits, deltas = classify_regions(heads, levels, boxes, valid, index, settings)
        total = total + logits
        moved = decode_in_images(
            boxes[:, :, None], deltas, image_sizes, stage, settings
        )
        if index + 1 < len(settings.stages):
            boxes = moved[:, :, 0]
    scores = jax.nn.softmax(total / len(settings.stages))[..., :-1]
    return class_candidates(moved, scores, valid, settings.detections)


def detection_masks(
    heads: Heads, levels: Levels, found: Detections, settings: TwoStageSettings
) -> jax.Array:
    """Probabilities [B, N, 28, 28] of the masks of detections, mean of all stages."""
    own = found.classes[..., None, None, None]
    parts = []
    for index in range(len(settings.stages)):
        logits = region_masks(heads, levels, found.boxes, found.valid, index, settings)
        mine = jnp.take_along_axis(logits, own, -1)[..., 0]
        parts.append(jax.nn.sigmoid(mine))
    return sum(parts[1:], start=parts[0]) / len(parts)
