"""From scores and boxes of classes to the detections of an image; masks on the host."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection.boxes import pair_iou
from hrnet_jax.detection.nms import chosen, nms_of_images
from hrnet_jax.detection.settings import DetectionSettings

# Probability from which on a pixel belongs to the object.
MASK_THRESHOLD = 0.5


class Detections(NamedTuple):
    """Objects found in a batch of images, best first.

    Attributes:
        boxes: [B, N, 4] in pixels of the canvas; 0 where not valid.
        scores: [B, N] in 0..1; 0 where not valid.
        classes: int32 [B, N], from 0.
        valid: bool [B, N], true at the front.
        masks: [B, N, 28, 28], probabilities of the pixels of the box; None of a
            detector without masks.
    """

    boxes: jax.Array
    scores: jax.Array
    classes: jax.Array
    valid: jax.Array
    masks: jax.Array | None = None


class Candidates(NamedTuple):
    """Boxes of a batch, each of one class, among which doubles are suppressed.

    Attributes:
        boxes: [B, N, 4] in pixels of the canvas.
        scores: [B, N] in 0..1.
        classes: int32 [B, N], from 0.
        valid: bool [B, N], others are none.
        labels: number of classes.
    """

    boxes: jax.Array
    scores: jax.Array
    classes: jax.Array
    valid: jax.Array
    labels: int


def joined(one: Candidates, other: Candidates) -> Candidates:
    """Candidates of the same images, all together."""

    def both(part: jax.Array, more: jax.Array) -> jax.Array:
        return jnp.concatenate([part, more], axis=1)

    return Candidates(
        both(one.boxes, other.boxes),
        both(one.scores, other.scores),
        both(one.classes, other.classes),
        both(one.valid, other.valid),
        one.labels,
    )


def class_candidates(
    boxes: jax.Array, scores: jax.Array, valid: jax.Array, settings: DetectionSettings
) -> Candidates:
    """Candidates of regions: each with every class that scores above the threshold.

    Args:
        boxes: [B, R, K, 4], or [B, R, 1, 4] where classes share them.
        scores: [B, R, K].
        valid: bool [B, R].
        settings: numbers.
    """
    batch, _, classes = scores.shape
    wanted = valid[..., None] & (scores > settings.score)
    numbers = jnp.broadcast_to(jnp.arange(classes, dtype=jnp.int32), scores.shape)
    own = jnp.broadcast_to(boxes, (*scores.shape, 4))
    return Candidates(
        own.reshape(batch, -1, 4),
        scores.reshape(batch, -1),
        numbers.reshape(batch, -1),
        wanted.reshape(batch, -1),
        classes,
    )


def chosen_detections(
    candidates: Candidates, settings: DetectionSettings, plus_one: float = 0.0
) -> Detections:
    """Detections of a batch: within every class, what no better box overlaps.

    Args:
        candidates: of every image; no threshold is applied here.
        settings: numbers.
        plus_one: see `Conventions`.
    """
    boxes, scores, classes, valid, labels = candidates
    index, kept = nms_of_images(
        boxes,
        scores,
        valid,
        settings.overlap,
        settings.count,
        classes,
        labels,
        plus_one,
    )
    best = chosen(boxes, index, kept)
    if settings.vote:
        own = chosen(classes, index, kept)
        voters = valid[:, None] & (own[..., None] == classes[:, None])
        votes = jnp.where(voters, scores[:, None], 0)
        best = jax.vmap(functools.partial(voted_boxes, settings.vote, plus_one))(
            best, boxes, votes
        )
        best = jnp.where(kept[..., None], best, 0)
    return Detections(
        best,
        chosen(scores, index, kept),
        chosen(classes, index, kept),
        kept,
    )


def voted_boxes(
    overlap: float,
    plus_one: float,
    found: jax.Array,
    boxes: jax.Array,
    votes: jax.Array,
) -> jax.Array:
    """Boxes as the means of those around them, weighed by their scores.

    Several regions of an object find it, each a little off: box voting, section 3.3 of
    Gidaris and Komodakis, "Object detection via a multi-region & semantic
    segmentation-aware CNN model" (ICCV 2015).

    Args:
        overlap: intersection over union from which on a box votes.
        plus_one: see `Conventions`.
        found: [N, 4].
        boxes: [M, 4].
        votes: [N, M], the weight of each box for each of those found.

    Returns:
        [N, 4]; as they were where nothing votes.
    """
    votes = jnp.where(pair_iou(found, boxes, plus_one) >= overlap, votes, 0)
    total = votes.sum(-1, keepdims=True)
    # Products of accelerators would round the boxes to pixels.
    sums = jnp.matmul(votes, boxes, precision=jax.lax.Precision.HIGHEST)
    means = sums / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, means, found)


def paste_mask(
    probabilities: np.ndarray, box: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """The pixels of an object, within the part of the image that its box reaches.

    Cells of the mask are interpolated linearly at the centres of pixels, nothing
    outside of it, and pixels from a probability of .5 on belong to the object.

    Args:
        probabilities: [M, N] in 0..1.
        box: (x1, y1, x2, y2) in pixels of the image.
        size: (height, width) of the image.

    Returns:
        bool [h, w], maybe empty, and (row, column) of its corner in the image.
    """
    height, width = size
    x1, y1, x2, y2 = (np.float32(side) for side in box)
    top, rows = _interpolation(y1, y2, height, probabilities.shape[0])
    left, columns = _interpolation(x1, x2, width, probabilities.shape[1])
    values = rows @ probabilities.astype(np.float32) @ columns.T
    return values >= MASK_THRESHOLD, (top, left)


def _interpolation(
    start: np.float32, end: np.float32, length: int, cells: int
) -> tuple[int, np.ndarray]:
    """First pixel that a box reaches, and weights [pixels, cells] of its cells."""
    first = int(np.clip(np.floor(start) - 1, 0, length))
    last = int(np.clip(np.ceil(end) + 1, first, length))
    # No division by zero; such a box has no pixel.
    side = max(end - start, np.float32(np.finfo(np.float32).tiny))
    centres = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    with np.errstate(over="ignore"):
        places = (centres - start) / side * cells - np.float32(0.5)
    distance = np.abs(places[:, None] - np.arange(cells, dtype=np.float32))
    return first, np.maximum(1 - distance, 0)


def whole_mask(
    probabilities: np.ndarray, box: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """`paste_mask` in an image of its own: bool [height, width]."""
    image = np.zeros(size, bool)
    part, (top, left) = paste_mask(probabilities, box, size)
    image[top : top + part.shape[0], left : left + part.shape[1]] = part
    return image
