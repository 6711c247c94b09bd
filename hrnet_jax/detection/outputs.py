"""What detections become outside of the network: masks of the image, COCO's results."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.postprocess import paste_mask
from hrnet_jax.imaging import run_lengths
from hrnet_jax.whole_files import write_whole

# Digits of what is written: of pixels, as COCO's own files have them, and of scores.
_PIXEL_DIGITS, _SCORE_DIGITS = 2, 5


@dataclasses.dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image.

    Attributes:
        number: id of the image, as in its file of annotations.
        size: (height, width) of the image.
        boxes: float [N, 4], (x1, y1, x2, y2) in its pixels.
        scores: float [N].
        classes: int [N].
        masks: run lengths of each, for the whole image; empty without masks.
    """

    number: Any
    size: tuple[int, int]
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: Sequence[str] = ()


def encode_masks(
    probabilities: np.ndarray, boxes: np.ndarray, size: tuple[int, int]
) -> list[str]:
    """Run lengths of the masks of an image, without a bitmap of it.

    Args:
        probabilities: float [N, m, m], in the frames of the boxes.
        boxes: [N, 4], in pixels of the image.
        size: (height, width) of the image.
    """
    parts = (paste_mask(one, box, size) for one, box in zip(probabilities, boxes))
    return [run_lengths.encode(bitmap, size, corner) for bitmap, corner in parts]


def coco_results(
    found: Iterable[Detections], info: DatasetInfo, kind: str
) -> list[dict[str, Any]]:
    """Detections as COCO's server takes them.

    Args:
        found: of each image.
        info: whose `category_ids` name the classes.
        kind: `bbox` or `segm`.
    """
    ids = info.category_ids or tuple(range(1, len(info.box_class_names) + 1))
    results = []
    for one in found:
        for k in range(len(one.boxes)):
            entry: dict[str, Any] = {
                "image_id": one.number,
                "category_id": int(ids[int(one.classes[k])]),
                "score": round(float(one.scores[k]), _SCORE_DIGITS),
            }
            if kind == "segm":
                entry["segmentation"] = {"size": [*one.size], "counts": one.masks[k]}
            else:
                x1, y1, x2, y2 = (float(value) for value in one.boxes[k])
                sides = (x1, y1, x2 - x1, y2 - y1)
                entry["bbox"] = [round(value, _PIXEL_DIGITS) for value in sides]
            results.append(entry)
    return results


def listed_objects(
    prediction: dict[str, Any], info: DatasetInfo, size: tuple[int, int]
) -> list[dict[str, Any]]:
    """Objects of an image in words and numbers, as its summary lists them.

    Args:
        prediction: of `DetectionTask.to_image`.
        info: whose names the classes have.
        size: (height, width) of the image.
    """
    found = []
    for k, box in enumerate(np.asarray(prediction["boxes"], np.float64)):
        entry = {
            "name": info.box_class_names[int(prediction["classes"][k])],
            "score": round(float(prediction["scores"][k]), _SCORE_DIGITS),
            "box": [round(float(side), _PIXEL_DIGITS) for side in box],
        }
        if "masks" in prediction:
            counts = prediction["masks"].run_lengths(k)
            entry["segmentation"] = {"size": [*size], "counts": counts}
        found.append(entry)
    return found


def write_results(
    folder: pathlib.Path, found: Sequence[Detections], info: DatasetInfo, *, masks: bool
) -> list[str]:
    """Writes `coco_bbox.json`, and `coco_segm.json` with masks; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for kind in ("bbox", "segm") if masks else ("bbox",):
        name = f"coco_{kind}.json"
        write_whole(folder / name, json.dumps(coco_results(found, info, kind)))
        names.append(name)
    return names
