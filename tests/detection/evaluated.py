"""Batches of the evaluation, and predictions for them, without a network."""

import json

import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.records import open_records
from hrnet_jax.data.registry import prepare
from hrnet_jax.data.stream.batches import eval_batches
from hrnet_jax.detection.transforms import (
    AugmentationOptions,
    eval_groups,
    make_eval_transform,
)
from hrnet_jax.imaging import run_lengths
from tests.data.object_files import write_image

OPTIONS = AugmentationOptions(test_scale=(320, 192), max_objects=40)


def prepared_samples(real_data, folder):
    """The samples of COCO, prepared: folder, facts."""
    return folder, prepare("coco_detection", folder, real_data / "samples" / "coco")


def batches(folder, name, split, batch_size, options=OPTIONS, **kwargs):
    """All batches of a split, as the evaluation reads them."""
    records = open_records(name, folder, split)
    return eval_batches(
        records,
        make_eval_transform(options, records.info),
        batch_size=batch_size,
        groups=eval_groups(records.image_sizes(), options),
        threads=1,
        **kwargs,
    )


def on_devices(batch):
    """A batch as evaluators get it of one process."""
    return {
        key: jnp.asarray(value) if isinstance(value, np.ndarray) else value
        for key, value in batch.items()
    }


def annotations_as_predictions(batch, side=0):
    """Every object as it is annotated; with `side`, its mask in the frame of its box."""
    there = batch["box_valid"] | batch["box_crowd"]
    scale = batch["scale"][:, None, [1, 0, 1, 0]]
    found = {
        # By way of the originals, as those of the canvas are clipped.
        "boxes": batch["object_boxes"] * scale,
        "scores": np.where(there, 0.9, 0).astype(np.float32),
        "classes": batch["box_class"],
        "valid": there,
    }
    if side:
        found["masks"] = np.zeros((*there.shape, side, side), np.float32)
        for image, texts in enumerate(batch["object_masks"]):
            size = tuple(batch["original_size"][image])
            for k, text in enumerate(texts.split(" ") if texts else []):
                box = batch["object_boxes"][image, k]
                found["masks"][image, k] = in_frame(text, size, box, side)
    return found


def in_frame(text, size, box, side):
    """A mask at the centres of `side` x `side` cells of its box, nearest pixel."""
    whole = run_lengths.decode(text, size)
    x1, y1, x2, y2 = box
    cells = (np.arange(side) + 0.5) / side
    x = np.clip((x1 + cells * (x2 - x1)).astype(int), 0, size[1] - 1)
    y = np.clip((y1 + cells * (y2 - y1)).astype(int), 0, size[0] - 1)
    return whole[y[:, None], x].astype(np.float32)


def mixed_set(folder, count=11):
    """Images of both orientations with a few boxes of three classes, prepared."""
    rng = np.random.default_rng(0)
    content = {"categories": [{"id": k, "name": f"kind{k}"} for k in (2, 5, 6)]}
    content |= {"images": [], "annotations": []}
    for k in range(count):
        height, width = (40, 60) if k % 3 else (60, 40)
        name = f"{k}.jpg"
        write_image(folder / "source/images" / name, (height, width))
        entry = {"id": 100 - k, "file_name": name, "height": height, "width": width}
        content["images"].append(entry)
        for _ in range(1 + k % 3):
            x, y = rng.integers(0, 20, 2).tolist()
            w, h = rng.integers(5, 20, 2).tolist()
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": 100 - k,
                    "category_id": int(rng.choice([2, 5, 6])),
                    "bbox": [x, y, w, h],
                    "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                }
            )
    path = folder / "source/annotations/val.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return prepare("detection_coco", folder, folder / "source")


def moved_objects(batch, most=6, side=8):
    """Predictions that are a function of each image alone: its objects, moved."""
    count = len(batch["image_id"])
    found = {
        "boxes": np.zeros((count, most, 4), np.float32),
        "scores": np.zeros((count, most), np.float32),
        "classes": np.zeros((count, most), np.int32),
        "valid": np.zeros((count, most), bool),
        "masks": np.zeros((count, most, side, side), np.float32),
    }
    for k in range(count):
        rng = np.random.default_rng(int(batch["image_number"][k]))
        there = np.flatnonzero(batch["box_valid"][k])
        n = len(there)
        moved = batch["object_boxes"][k][there] + rng.normal(0, 1, (n, 4))
        found["boxes"][k, :n] = moved * batch["scale"][k][[1, 0, 1, 0]]
        # Few scores, so that many are equal.
        found["scores"][k, :n] = rng.choice([0.3, 0.6, 0.9], n)
        found["classes"][k, :n] = batch["box_class"][k][there]
        found["valid"][k, :n] = True
        found["masks"][k, :n] = rng.random((n, side, side)) + 0.4
    return found
