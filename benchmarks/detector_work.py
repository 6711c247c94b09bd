"""What the benchmarks give a detector to do: weights, objects, both of its programs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection.targets import Draw, Objects
from hrnet_jax.models.model import Model

# Objects of an image, of so many places; COCO has about seven.
OBJECTS, PLACES = 8, 100
# Bitmaps of objects, of detectors with masks.
_MASK = 112

# Statistics of frozen norms are those of no data. With this factor of their scales
# values neither vanish nor grow over fifty blocks, some of which add four maps.
_NORM_SCALE = 0.5
# Fresh heads say the same of all regions: nothing would pass the score that
# detections need, and suppression would find nothing to do. With these some hundred
# classes of regions pass.
_HEAD_SCALES = {
    "rpn/objectness": 10.0,
    "rpn/deltas": 3.0,
    "box_head/classes": 4.0,
    "box_head/deltas": 10.0,
}


def busy_variables(variables: dict) -> dict:
    """Fresh variables of a detector, changed so that all of its parts have work."""

    def changed(path: tuple[Any, ...], leaf: np.ndarray) -> np.ndarray:
        names = [part.key for part in path]
        if names[-1] == "scale":
            return leaf * np.float32(_NORM_SCALE)
        factor = _HEAD_SCALES.get("/".join(names[:-1]), 1.0)
        return leaf * np.float32(factor if names[-1] == "kernel" else 1.0)

    params = jax.tree_util.tree_map_with_path(changed, variables["params"])
    return {**variables, "params": params}


def draw_objects(
    rng: np.random.Generator, shape: tuple[int, int, int], model: Model
) -> dict[str, np.ndarray]:
    """Objects of random place, size and class, as a batch of detection has them.

    Args:
        rng: to draw with.
        shape: (batch, height, width) of the images, which fill their canvas.
        model: the detector.

    Returns:
        `image_size` int32 [B, 2], `boxes` float32 [B, G, 4], `box_class` int32 [B, G],
        `box_valid` bool [B, G] and, with masks, `masks` uint8 [B, G, 112, 112].
    """
    batch, height, width = shape
    sides = np.array([width, height], np.float32)
    # From a twelfth of the image to half of it.
    half = sides * rng.uniform(1 / 24, 1 / 4, (batch, PLACES, 2))
    centre = half + rng.random((batch, PLACES, 2)) * (sides - 2 * half)
    boxes = np.concatenate([centre - half, centre + half], -1).astype(np.float32)
    valid = np.broadcast_to(np.arange(PLACES) < OBJECTS, (batch, PLACES))
    found = {
        "image_size": np.tile(np.int32([[height, width]]), (batch, 1)),
        "boxes": np.where(valid[..., None], boxes, 0),
        "box_class": rng.integers(0, model.num_classes, valid.shape).astype(np.int32),
        "box_valid": valid.copy(),
    }
    if model.has_masks:
        found["masks"] = np.ones((*valid.shape, _MASK, _MASK), np.uint8)
    return found


def detect(model: Model, variables: dict, images: jax.Array) -> dict[str, jax.Array]:
    """Detections of normalised images [B, H, W, 3] that fill their canvas."""
    sizes = jnp.full((len(images), 2), jnp.array(images.shape[1:3]), jnp.int32)
    found = model.apply(variables, images, sizes, method="detect")
    return {key: part for key, part in found._asdict().items() if part is not None}


def detector_loss(model: Model) -> Callable:
    """Sum of the losses, as `make_train_step` wants it.

    `rpn_priority` and `roi_priority` of a batch, where it has them, take the place of
    random numbers; see `Draw`.
    """

    def loss(variables: dict, batch: dict, rngs: dict):
        (losses, measures), state = model.apply(
            variables,
            batch["image"],
            batch["image_size"],
            Objects.of_batch(batch),
            Draw(
                rngs["dropout"],
                rpn_priority=batch.get("rpn_priority"),
                roi_priority=batch.get("roi_priority"),
            ),
            rngs=rngs,
            mutable=["batch_stats"],
            method="losses",
        )
        statistics = state.get("batch_stats", variables["batch_stats"])
        return sum(losses.values()), (statistics, losses | measures)

    return loss


def work_of(model: Model) -> dict[str, Any]:
    """Numbers that another implementation needs to do the same as a Faster R-CNN.

    Raises:
        ValueError: for another detector.
    """
    if model.output_kind != "faster_rcnn":
        raise ValueError(
            f"no PyTorch counterpart of {model.output_kind!r}; expected "
            "detection/faster_rcnn_<variant>"
        )
    numbers = model.numbers
    rpn, (stage,) = numbers.rpn, numbers.stages
    return {
        "features": model.features,
        "head_width": model.head_width,
        "classes": model.num_classes,
        "strides": list(model.strides),
        "scales": list(rpn.scales),
        "ratios": list(rpn.ratios),
        "finest": numbers.finest,
        "stds": list(stage.stds),
        "train_candidates": rpn.train_candidates,
        "train_proposals": rpn.train_proposals,
        "candidates": rpn.candidates,
        "proposals": rpn.proposals,
        "overlap": rpn.overlap,
        "rpn_thresholds": [rpn.positive, rpn.negative, rpn.least],
        "rpn_samples": [rpn.samples, rpn.most_positive],
        "roi_threshold": stage.positive,
        "roi_samples": [numbers.samples, numbers.most_positive],
        "detections": [
            numbers.detections.score,
            numbers.detections.overlap,
            numbers.detections.count,
        ],
    }
