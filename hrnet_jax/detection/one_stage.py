"""Training and prediction of FCOS from the outputs of its head."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection import losses
from hrnet_jax.detection.anchors import point_grid
from hrnet_jax.detection.boxes import distances, from_distances, iou
from hrnet_jax.detection.fcos import FCOSOutputs
from hrnet_jax.detection.matching import level_ranges, match_points
from hrnet_jax.detection.nms import top_candidates
from hrnet_jax.detection.postprocess import Candidates
from hrnet_jax.detection.settings import FCOSSettings
from hrnet_jax.detection.targets import Objects
from hrnet_jax.runtime.mesh import on_own_images

Outputs = tuple[FCOSOutputs, ...]


class PointTargets(NamedTuple):
    """What every point of every level should have said, levels in a row.

    Attributes:
        object: int32 [B, P]; -1 where there is none.
        sides: [B, P, 4], distances to the sides of the object in pixels.
    """

    object: jax.Array
    sides: jax.Array


def _shapes(outputs: Outputs) -> tuple[tuple[int, int], ...]:
    maps = (level.centerness for level in outputs)
    return tuple((one.shape[1], one.shape[2]) for one in maps)


def points_of(outputs: Outputs, strides: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Centres [h * w, 2] of the cells of every level."""
    dtype = outputs[0].distances.dtype
    return point_grid(_shapes(outputs), strides, dtype=dtype)


def point_targets(
    outputs: Outputs,
    objects: Objects,
    strides: tuple[int, ...],
    settings: FCOSSettings,
) -> PointTargets:
    """Matches points to objects: the smallest that holds the point, in its range.

    Args:
        outputs: of `FCOS`; only their shapes count.
        objects: of the images.
        strides: of the levels.
        settings: numbers.
    """
    points = jnp.asarray(np.concatenate(points_of(outputs, strides)))
    ranges = level_ranges(_shapes(outputs), settings.ranges, dtype=points.dtype)

    def of_image(boxes: jax.Array, valid: jax.Array) -> PointTargets:
        assigned = match_points(points, jnp.asarray(ranges), boxes, valid)
        matched = boxes[jnp.maximum(assigned, 0)]
        return PointTargets(assigned, distances(points, matched))

    match_images = on_own_images(jax.vmap(of_image))
    return match_images(objects.boxes.astype(points.dtype), objects.valid)


def centerness(sides: jax.Array) -> jax.Array:
    """How central a point is in its object: 1 in the middle, 0 at the border.

    Square root of min(l, r) / max(l, r) times min(t, b) / max(t, b): Tian et al. 2019,
    equation 3.

    Args:
        sides: [..., 4], distances to left, top, right and bottom; all positive.
    """
    first, second = sides[..., :2], sides[..., 2:]
    ratio = jnp.minimum(first, second) / jnp.maximum(first, second)
    return jnp.sqrt(ratio[..., 0] * ratio[..., 1])


def fcos_losses(
    outputs: Outputs,
    objects: Objects,
    strides: tuple[int, ...],
    settings: FCOSSettings,
) -> dict[str, jax.Array]:
    """Losses of all points of the batch.

    The focal loss of classes and the loss of centerness are divided by the number of
    points with an object; that of boxes is weighted by, and divided by the sum of,
    their true centerness.

    Returns:
        `class`, `box` and `centerness`, scalars.
    """
    targets = point_targets(outputs, objects, strides, settings)
    points = jnp.asarray(np.concatenate(points_of(outputs, strides)))
    joined = _in_a_row(outputs)
    found = targets.object >= 0
    count = found.sum()
    labels = jnp.take_along_axis(objects.classes, jnp.maximum(targets.object, 0), 1)
    wanted = (labels[..., None] == jnp.arange(joined.logits.shape[-1])) & found[
        ..., None
    ]
    classes = losses.focal(joined.logits, wanted, settings.alpha, settings.gamma)
    # Points without an object have no box; the same one twice has no gradient.
    sides, predicted = (
        jnp.where(found[..., None], one, 1) for one in (targets.sides, joined.distances)
    )
    central = jnp.where(found, centerness(sides), 0)
    overlap = iou(from_distances(points, predicted), from_distances(points, sides))
    boxes = jnp.where(found, losses.overlap_loss(overlap), 0) * central
    middle = losses.binary_cross_entropy(joined.centerness, central)
    return {
        "class": losses.mean_over(classes.sum(), count),
        "box": losses.mean_over(boxes.sum(), central.sum(), 1e-6),
        "centerness": losses.mean_over(jnp.where(found, middle, 0).sum(), count),
    }


def _in_a_row(outputs: Outputs) -> FCOSOutputs:
    """Outputs [B, P, ...] of the points of all levels."""
    batch, *_, classes = outputs[0].logits.shape
    shapes = ((batch, -1, classes), (batch, -1, 4), (batch, -1))
    parts = zip(shapes, zip(*outputs, strict=True), strict=True)
    return FCOSOutputs(
        *(
            jnp.concatenate([level.reshape(shape) for level in levels], 1)
            for shape, levels in parts
        )
    )


def fcos_candidates(
    outputs: Outputs,
    image_sizes: jax.Array,
    strides: tuple[int, ...],
    settings: FCOSSettings,
) -> Candidates:
    """What may be detected in every image.

    Of every level the best pairs of point and class are decoded, if the class alone
    scores above the threshold. Score times centerness then ranks them.

    Args:
        outputs: of `FCOS`.
        image_sizes: int [B, 2], (h, w) of the images in the canvas.
        strides: of the levels.
        settings: numbers.
    """
    grids = points_of(outputs, strides)

    def of_level(points: np.ndarray, level: FCOSOutputs, size: jax.Array) -> tuple:
        classes = level.logits.shape[-1]
        scores = jax.nn.sigmoid(level.logits).reshape(-1)
        wanted = scores > settings.detections.score
        scores, index = top_candidates(scores, settings.candidates, wanted)
        place, number = index // classes, index % classes
        middle = jax.nn.sigmoid(level.centerness.reshape(-1)[place])
        sides = level.distances.reshape(-1, 4)[place]
        boxes = from_distances(jnp.asarray(points)[place], sides, size)
        # What was not wanted counts as -inf above; points outside the image may have
        # boxes without area.
        usable = jnp.isfinite(scores) & (boxes[:, 2:] > boxes[:, :2]).all(-1)
        return boxes, scores * middle, number.astype(jnp.int32), usable

    def of_image(outputs: Outputs, size: jax.Array) -> tuple[jax.Array, ...]:
        levels = [
            of_level(points, level, size)
            for points, level in zip(grids, outputs, strict=True)
        ]
        return tuple(jnp.concatenate(parts) for parts in zip(*levels, strict=True))

    decode_images = on_own_images(jax.vmap(of_image))
    boxes, scores, classes, usable = decode_images(outputs, image_sizes)
    labels = outputs[0].logits.shape[-1]
    return Candidates(boxes, scores, classes, usable, labels)
