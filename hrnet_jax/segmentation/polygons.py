"""Labels of pixels as polygons, for tools that annotate."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_jax.data.info import DatasetInfo

# Keys of labelme's files, as version 5 writes them.
_LABELME_VERSION = "5.0.1"


def polygons_of(label: np.ndarray, num_classes: int) -> list[dict[str, Any]]:
    """Every connected part of every class (8 neighbours) as one polygon.

    A polygon passes a quarter of a pixel inside the edges of its pixels, whose corners
    have whole numbers; so it has an area even where a part is one pixel wide, and the
    pixels whose centres it holds (even-odd) are those of the part. A hole is reached
    over a line that is passed twice, as neither format has holes.

    Args:
        label: uint8 [H, W]; values of `num_classes` and above are no class.
        num_classes: K.

    Returns:
        Of each part `class`, `area` in pixels, `box` [x, y, width, height] and
        `points`, [[x, y], ...]; by class, then from top to bottom.
    """
    found = []
    for number in range(num_classes):
        mask = (label == number).astype(np.uint8)
        if not mask.any():
            continue
        count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask, None)
        for part in range(1, count):
            left, top, width, height, area = (int(n) for n in statistics[part])
            own = parts[top : top + height, left : left + width] == part
            ring = _outline(own.astype(np.uint8)) + (left, top)
            found.append(
                {
                    "class": number,
                    "area": area,
                    "box": [left, top, width, height],
                    "points": ring.tolist(),
                }
            )
    return found


def _outline(part: np.ndarray) -> np.ndarray:
    """Corners float64 [N, 2] of one connected part, its holes joined in."""
    # Contours pass through pixels, so those of an enlarged part have an area.
    enlarged = np.repeat(np.repeat(part, 2, 0), 2, 1)
    rings, hierarchy = cv2.findContours(
        enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    outer = [k for k, (_, _, _, parent) in enumerate(hierarchy[0]) if parent < 0]
    ring = (rings[outer[0]][:, 0] + 0.5) / 2
    for k, hole in enumerate(rings):
        if k not in outer:
            ring = _joined(ring, (hole[:, 0] + 0.5) / 2)
    return ring


def _joined(ring: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The ring, with a way to the hole, around it and back, at the nearest corners."""
    distance = np.abs(ring[:, None] - hole[None]).sum(-1)
    here, there = np.unravel_index(distance.argmin(), distance.shape)
    around = np.concatenate([hole[there:], hole[: there + 1]])
    return np.concatenate([ring[: here + 1], around, ring[here:]])


def coco_file(
    images: Iterable[tuple[str, Sequence[int], Sequence[dict]]], info: DatasetInfo
) -> dict[str, Any]:
    """What a COCO file of objects holds.

    Args:
        images: name of the file, (height, width) and polygons of each.
        info: names of the classes; category ids are their labels plus 1.
    """
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": label + 1, "name": name}
            for label, name in enumerate(info.class_names)
        ],
    }
    for number, (file, (height, width), polygons) in enumerate(images, 1):
        content["images"].append(
            {"id": number, "file_name": file, "height": height, "width": width}
        )
        for one in polygons:
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": one["class"] + 1,
                    "segmentation": [np.ravel(one["points"]).tolist()],
                    "bbox": one["box"],
                    "area": one["area"],
                    "iscrowd": 0,
                }
            )
    return content


def labelme_file(
    image: pathlib.Path,
    size: Sequence[int],
    polygons: Sequence[dict],
    info: DatasetInfo,
) -> dict[str, Any]:
    """What a labelme file beside an image holds, without the image."""
    return {
        "version": _LABELME_VERSION,
        "flags": {},
        "shapes": [
            {
                "label": info.class_names[one["class"]],
                "points": one["points"],
                "group_id": None,
                "shape_type": "polygon",
                "flags": {},
            }
            for one in polygons
        ],
        "imagePath": str(image),
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
    }
