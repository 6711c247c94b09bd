"""Regions of interest in training: which are drawn, what they should become, losses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hrnet_jax.detection import losses
from hrnet_jax.detection.boxes import decode, encode
from hrnet_jax.detection.matching import IGNORED, match
from hrnet_jax.detection.sampling import Sample, sample_labels
from hrnet_jax.detection.settings import StageSettings, TwoStageSettings
from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.runtime.mesh import on_own_images


class Regions(NamedTuple):
    """Regions of a batch that the losses of a stage see, positives first.

    Attributes:
        boxes: [B, S, 4] in pixels of the canvas.
        sample: [B, S] of objects and candidates in a row.
        object: int32 [B, S], the object of a positive; 0 elsewhere.
        is_object: bool [B, S], the region is the box of an object itself.
    """

    boxes: jax.Array
    sample: Sample
    object: jax.Array
    is_object: jax.Array


def draw_regions(
    boxes: jax.Array,
    valid: jax.Array,
    objects: Objects,
    draw: Draw,
    stage: int,
    settings: TwoStageSettings,
) -> Regions:
    """Matches candidates to objects and draws those that the losses see.

    The boxes of the objects are candidates too, each its own match.

    Args:
        boxes: [B, P, 4], candidates: proposals, or boxes of the stage before.
        valid: bool [B, P].
        objects: of the images.
        draw: how samples are drawn.
        stage: number of the stage, from 0.
        settings: numbers.
    """
    wanted = settings.stages[stage].positive
    most = settings.samples, settings.most_positive

    def of_image(
        boxes: jax.Array,
        valid: jax.Array,
        own: jax.Array,
        own_valid: jax.Array,
        key: jax.Array,
    ) -> Regions:
        count = len(own)
        assigned = match(
            boxes,
            valid,
            own,
            own_valid,
            wanted,
            wanted,
            wanted,
            low_quality=settings.low_quality,
            plus_one=settings.conventions.plus_one,
        )
        itself = jnp.where(own_valid, jnp.arange(count, dtype=jnp.int32), IGNORED)
        assigned = jnp.concatenate([itself, assigned])
        priority = draw.roi_priority
        if priority is not None:
            priority = priority[: len(assigned)]
        sample = sample_labels(key, assigned, *most, priority=priority)
        return Regions(
            jnp.concatenate([own, boxes])[sample.index],
            sample,
            jnp.maximum(assigned[sample.index], 0),
            sample.valid & (sample.index < count),
        )

    own = objects.boxes.astype(boxes.dtype)
    keys = draw.keys(len(boxes), stage + 1)
    boxes = jax.lax.stop_gradient(boxes)
    return on_own_images(jax.vmap(of_image))(boxes, valid, own, objects.valid, keys)


def refine(
    regions: Regions,
    deltas: jax.Array,
    image_sizes: jax.Array,
    stage: StageSettings,
    settings: TwoStageSettings,
) -> tuple[jax.Array, jax.Array]:
    """Candidates of the next stage of a cascade: the regions, as the head moved them.

    Objects that were put among the candidates do not go on. No gradient passes.

    Args:
        regions: of this stage.
        deltas: [B, S, 4] of its head.
        image_sizes: int [B, 2].
        stage: numbers of this stage.
        settings: numbers of the detector.

    Returns:
        boxes [B, S, 4], and which of them are valid [B, S].
    """
    boxes = decode_in_images(regions.boxes, deltas, image_sizes, stage, settings)
    return jax.lax.stop_gradient(boxes), regions.sample.valid & ~regions.is_object


def decode_in_images(
    boxes: jax.Array,
    deltas: jax.Array,
    image_sizes: jax.Array,
    stage: StageSettings,
    settings: TwoStageSettings,
) -> jax.Array:
    """Boxes [B, R, ..., 4] that deltas make of regions, cut to the images."""

    def of_image(boxes: jax.Array, deltas: jax.Array, size: jax.Array) -> jax.Array:
        return decode(
            boxes,
            deltas,
            stds=stage.stds,
            size=size,
            conventions=settings.conventions,
        )

    return jax.vmap(of_image)(boxes, deltas, image_sizes)


def box_losses(
    logits: jax.Array,
    deltas: jax.Array,
    regions: Regions,
    objects: Objects,
    stage: StageSettings,
    settings: TwoStageSettings,
) -> dict[str, jax.Array]:
    """Class and box losses of a stage.

    Both are divided by the number of regions, with and without object, of the batch.

    Args:
        logits: [B, S, K + 1], the background last.
        deltas: [B, S, K, 4], or [B, S, 1, 4] of a class-agnostic head.
        regions: that the head has seen.
        objects: of the images.
        stage: numbers of this stage; its weight is not applied.
        settings: numbers of the detector.

    Returns:
        `class`, `box` and `accuracy`, the share of regions whose class is right.
    """
    sample = regions.sample
    classes = jnp.take_along_axis(objects.classes, regions.object, 1)
    labels = jnp.where(sample.positive, classes, logits.shape[-1] - 1)
    entropy = jnp.where(sample.valid, losses.cross_entropy(logits, labels), 0)
    boxes = objects.boxes.astype(regions.boxes.dtype)
    matched = jnp.take_along_axis(boxes, regions.object[..., None], 1)
    wanted = encode(
        regions.boxes, matched, stds=stage.stds, conventions=settings.conventions
    )
    own = classes if deltas.shape[2] > 1 else jnp.zeros_like(classes)
    chosen = jnp.take_along_axis(deltas, own[..., None, None], 2)[:, :, 0]
    distance = losses.smooth_l1(chosen - wanted, settings.beta).sum(-1)
    right = (logits.argmax(-1) == labels) & sample.valid
    count = sample.valid.sum()
    return {
        "class": losses.mean_over(entropy.sum(), count),
        "box": losses.mean_over(jnp.where(sample.positive, distance, 0).sum(), count),
        "accuracy": losses.mean_over(right.sum().astype(logits.dtype), count),
    }
