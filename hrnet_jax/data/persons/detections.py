"""Boxes of persons that somebody found: files in COCO's form of results."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.data.files.coco_json import as_id, as_whole, is_pixels, shown
from hrnet_jax.data.files.text_files import read_json
from hrnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class Boxes:
    """B boxes of images.

    Attributes:
        path: the file that they are from.
        images: int64 [B], ids of the images.
        box: float64 [B, 4], (x1, y1, x2, y2) in the frame of the file.
        score: float64 [B].
    """

    path: Path
    images: np.ndarray
    box: np.ndarray
    score: np.ndarray

    def of(
        self, numbers: np.ndarray, known: np.ndarray, split: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The boxes of some images, image after image, in the order of the file.

        Args:
            numbers: int64 [R], ids of these images.
            known: ids of all images that there may be boxes of.
            split: for messages.

        Returns:
            Positions of the images int64 [N], boxes float64 [N, 4], scores float64 [N].

        Raises:
            DataError: naming the image that is not known, or if none has a box.
        """
        unknown = ~np.isin(self.images, known)
        if unknown.any():
            first = int(self.images[unknown][0])
            raise DataError(
                f"{self.path} has boxes of image {first}, which split {split!r} does not "
                f"have ({len(np.unique(self.images[unknown]))} such images); expected "
                "boxes that were found in its images"
            )
        order = np.argsort(numbers, kind="stable")
        kept = np.flatnonzero(np.isin(self.images, numbers))
        if not len(kept):
            raise DataError(f"{self.path} has no box in the images of split {split!r}")
        at = order[np.searchsorted(numbers[order], self.images[kept])]
        turn = np.argsort(at, kind="stable")
        kept = kept[turn]
        return at[turn], self.box[kept], self.score[kept]


def read_boxes(path: str | os.PathLike, category: int) -> Boxes:
    """Reads a file of results of detections.

    Args:
        path: JSON, a list of `image_id`, `category_id`, `bbox` and `score`.
        category: whose boxes are taken; others are left out, as published.

    Raises:
        DataError: naming the entry that is wrong.
    """
    path = Path(path)
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError(
            f"{path} is no list; expected boxes as COCO's results are: image_id, "
            "category_id, bbox, score"
        )
    images, boxes, scores = [], [], []
    others = set()
    for number, entry in enumerate(entries, start=1):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict):
            raise DataError(f"{where} is {shown(entry)}, expected an object")
        if as_id(entry.get("category_id")) != str(category):
            others.add(shown(entry.get("category_id")))
            continue
        images.append(_whole(entry.get("image_id"), f"{where}: 'image_id'"))
        boxes.append(_corners(entry.get("bbox"), where))
        score: Any = entry.get("score")
        if not is_pixels(score):
            raise DataError(f"{where}: 'score' is {shown(score)}, expected a number")
        scores.append(float(score))
    if not boxes:
        named = f"; it has {', '.join(sorted(others)[:6])}" if others else ""
        raise DataError(
            f"{path} has no box of category {category}, the one with key points{named}"
        )
    return Boxes(path, np.array(images), np.array(boxes), np.array(scores))


def _whole(value: Any, where: str) -> int:
    number = as_whole(as_id(value))
    if number is None:
        raise DataError(f"{where} is {shown(value)}, expected a whole number")
    return number


def _corners(values: Any, where: str) -> tuple[float, float, float, float]:
    good = isinstance(values, list) and len(values) == 4
    if not good or not all(map(is_pixels, values)):
        raise DataError(
            f"{where}: bbox is {shown(values)}, expected [x, y, width, height] in pixels"
        )
    x, y, width, height = map(float, values)
    if width <= 0 or height <= 0:
        raise DataError(
            f"{where}: the box has size {width:g} x {height:g}; expected width and "
            "height above 0"
        )
    return x, y, x + width, y + height
