"""What the outputs of the region proposal network mean, and its losses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection import anchors as anchor_math
from hrnet_jax.detection import losses
from hrnet_jax.detection.boxes import Conventions, decode, encode
from hrnet_jax.detection.matching import match
from hrnet_jax.detection.nms import chosen, nms_of_images, top_candidates
from hrnet_jax.detection.sampling import Sample, sample_labels
from hrnet_jax.detection.settings import RPNSettings
from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.runtime.mesh import on_own_images

# Logits [B, h, w, A] and deltas [B, h, w, A, 4] of every level.
Outputs = tuple[tuple[jax.Array, jax.Array], ...]


class Proposals(NamedTuple):
    """Regions of a batch that may hold objects, best first.

    Attributes:
        boxes: [B, P, 4] in pixels of the canvas, within the images.
        scores: [B, P] in 0..1.
        valid: bool [B, P], true at the front.
    """

    boxes: jax.Array
    scores: jax.Array
    valid: jax.Array


def anchors_of(
    outputs: Outputs,
    strides: tuple[int, ...],
    settings: RPNSettings,
    conventions: Conventions,
) -> tuple[np.ndarray, ...]:
    """Anchors [h * w * A, 4] of every level."""
    return anchor_math.grid_anchors(
        _shapes(outputs),
        strides,
        settings.scales,
        settings.ratios,
        conventions,
        dtype=outputs[0][0].dtype,
    )


def _shapes(outputs: Outputs) -> tuple[tuple[int, int], ...]:
    return tuple((logits.shape[1], logits.shape[2]) for logits, _ in outputs)


def propose(
    outputs: Outputs,
    image_sizes: jax.Array,
    strides: tuple[int, ...],
    settings: RPNSettings,
    conventions: Conventions,
    train: bool,
) -> Proposals:
    """Proposals of every image: the best anchors, moved, without near doubles.

    Of every level the best candidates are decoded and cut to the image; what has no
    area left goes, and what overlaps a better one of its level. No gradient passes.

    Args:
        outputs: of `FasterRCNN.propose`.
        image_sizes: int [B, 2], (h, w) of the images in the canvas.
        strides: of the levels.
        settings: numbers.
        conventions: how boxes are measured.
        train: whether the counts are those of training.
    """
    grids = anchors_of(outputs, strides, settings, conventions)
    limit = settings.train_candidates if train else settings.candidates
    most = settings.train_proposals if train else settings.proposals

    def of_level(
        anchors: np.ndarray, logits: jax.Array, deltas: jax.Array, size: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        scores, index = top_candidates(logits.reshape(-1), limit)
        chosen = deltas.reshape(-1, 4)[index]
        boxes = decode(
            jnp.asarray(anchors)[index], chosen, size=size, conventions=conventions
        )
        return boxes, scores

    def of_image(outputs: Outputs, size: jax.Array) -> tuple[jax.Array, ...]:
        found = [
            of_level(anchors, logits, deltas, size)
            for anchors, (logits, deltas) in zip(grids, outputs, strict=True)
        ]
        return tuple(jnp.concatenate(parts) for parts in zip(*found, strict=True))

    of_images = on_own_images(jax.vmap(of_image))
    boxes, scores = of_images(jax.lax.stop_gradient(outputs), image_sizes)
    level = np.repeat(np.arange(len(grids)), [min(limit, len(one)) for one in grids])
    sides = boxes[..., 2:] - boxes[..., :2] + conventions.plus_one
    index, kept = nms_of_images(
        boxes,
        scores,
        (sides > 0).all(-1),
        settings.overlap,
        most,
        jnp.broadcast_to(level, scores.shape),
        len(grids),
        conventions.plus_one,
    )
    # Empty where nothing was kept.
    scores = chosen(jax.nn.sigmoid(scores), index, kept)
    return Proposals(chosen(boxes, index, kept), scores, kept)


class RPNTargets(NamedTuple):
    """What the region proposal network should have said.

    Attributes:
        assigned: int32 [B, A], of all anchors; see `match`.
        sample: anchors that the losses see, of those of all levels in a row.
        deltas: [B, samples, 4], right where `sample.positive`.
    """

    assigned: jax.Array
    sample: Sample
    deltas: jax.Array


def rpn_targets(
    outputs: Outputs,
    image_sizes: jax.Array,
    objects: Objects,
    draw: Draw,
    strides: tuple[int, ...],
    settings: RPNSettings,
    conventions: Conventions,
) -> RPNTargets:
    """Matches anchors to objects and draws those that the losses see.

    Args:
        outputs: of `FasterRCNN.propose`; only their shapes count.
        image_sizes: int [B, 2], (h, w) of the images in the canvas.
        objects: of the images.
        draw: how samples are drawn.
        strides: of the levels.
        settings: numbers.
        conventions: how boxes are measured.
    """
    grids = anchors_of(outputs, strides, settings, conventions)
    anchors = jnp.asarray(np.concatenate(grids))
    shapes = _shapes(outputs)
    per_cell = outputs[0][0].shape[-1]

    def of_image(
        size: jax.Array, boxes: jax.Array, valid: jax.Array, key: jax.Array
    ) -> RPNTargets:
        usable = anchor_math.cells_of_image(shapes, strides, size, per_cell)
        if settings.inside_only:
            usable &= anchor_math.inside(anchors, size)
        assigned = match(
            anchors,
            usable,
            boxes,
            valid,
            settings.positive,
            settings.negative,
            settings.least,
            plus_one=conventions.plus_one,
        )
        sample = sample_labels(
            key,
            assigned,
            settings.samples,
            settings.most_positive,
            priority=draw.rpn_priority,
        )
        matched = boxes[jnp.maximum(assigned[sample.index], 0)]
        chosen = anchors[sample.index]
        deltas = encode(chosen, matched, conventions=conventions)
        return RPNTargets(assigned, sample, deltas)

    boxes = objects.boxes.astype(anchors.dtype)
    keys = draw.keys(len(image_sizes), 0)
    match_images = on_own_images(jax.vmap(of_image))
    return match_images(image_sizes, boxes, objects.valid, keys)


def rpn_losses(
    outputs: Outputs, targets: RPNTargets, settings: RPNSettings
) -> dict[str, jax.Array]:
    """Objectness and box losses of the sampled anchors.

    Both are divided by the number of sampled anchors of the batch.

    Returns:
        `rpn_class` and `rpn_box`, scalars.
    """
    batch = len(outputs[0][0])
    logits = jnp.concatenate([one.reshape(batch, -1) for one, _ in outputs], 1)
    deltas = jnp.concatenate([one.reshape(batch, -1, 4) for _, one in outputs], 1)
    sample = targets.sample
    logits = jnp.take_along_axis(logits, sample.index, 1)
    deltas = jnp.take_along_axis(deltas, sample.index[..., None], 1)
    classes = losses.binary_cross_entropy(logits, sample.positive)
    boxes = losses.smooth_l1(deltas - targets.deltas, settings.beta).sum(-1)
    count = sample.valid.sum()
    return {
        "rpn_class": losses.mean_over(jnp.where(sample.valid, classes, 0).sum(), count),
        "rpn_box": losses.mean_over(jnp.where(sample.positive, boxes, 0).sum(), count),
    }
