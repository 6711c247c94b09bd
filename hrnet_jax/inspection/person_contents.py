"""What the persons of a prepared set hold: counts, sizes, pictures."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import ClassVar

import cv2
import numpy as np

from hrnet_jax.data.points.items import BOX_UNIT
from hrnet_jax.inspection.dataset_drawing import CELL, Sample
from hrnet_jax.inspection.point_contents import PointContents
from hrnet_jax.keypoints.drawing import draw_points


class PersonContents(PointContents):
    """Counts and pictures of persons; see `dataset_report.Contents`.

    Of persons with points; a split without any is not counted.
    """

    keys: ClassVar[tuple[str, ...]] = (
        *("image", "image_id", "points", "annotated", "visible"),
        *("person_boxes", "person_crowd"),
    )
    of: ClassVar[str] = "persons"

    def count(self, split: str, samples: Iterable[Sample]) -> None:
        """Counts points, boxes and images of one split."""
        sizes: list[tuple[int, ...]] = []
        numbers: list[int] = []

        def persons() -> Iterator[Sample]:
            for sample in samples:
                sizes.append(sample["image"].shape[:2])
                found = _with_points(sample)
                numbers.append(len(found))
                for index in found:
                    yield _person(sample, index)

        super().count(split, persons())
        if not sum(numbers):
            del self.counts[split]
            return
        # Of all images, those that show nobody included.
        self.counts[split] = dataclasses.replace(
            self.counts[split],
            sizes=np.array(sizes, np.int64),
            faces=np.array(numbers, np.int64),
        )

    def picture(self, sample: Sample) -> np.ndarray:
        """The image with its persons, hidden points hollow, for a contact sheet."""
        image = sample["image"]
        scale = CELL / max(image.shape[:2])
        size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        small = cv2.resize(image, size, interpolation=method)
        chosen = _with_points(sample)

        def placed(xy: np.ndarray) -> np.ndarray:
            # Pixel centres are whole numbers.
            pixels = xy - self._info.point_origin
            return (pixels + 0.5) * (np.array(size) / image.shape[1::-1]) - 0.5

        points = placed(sample["points"][chosen])
        points[sample["annotated"][chosen] == 0] = np.nan
        boxes = sample["person_boxes"][chosen].reshape(-1, 2, 2)
        return draw_points(
            small,
            points,
            lines=self._info.point_lines,
            scores=sample["visible"][chosen].astype(float),
            boxes=placed(boxes).reshape(-1, 4),
        )


def _with_points(sample: Sample) -> np.ndarray:
    """Places of the persons of an image that have points and are no crowds."""
    found = (sample["annotated"] > 0).any(1) & (sample["person_crowd"] == 0)
    return np.flatnonzero(found)


def _person(sample: Sample, index: int) -> Sample:
    """One of them as `PointContents` counts it."""
    x1, y1, x2, y2 = sample["person_boxes"][index]
    return {
        "image": sample["image"],
        "image_id": f"{sample['image_id']}#{index + 1}",
        "points": sample["points"][index],
        "annotated": sample["annotated"][index],
        "visible": sample["visible"][index],
        "center": np.array([(x1 + x2) / 2, (y1 + y2) / 2]),
        "scale": max(x2 - x1, y2 - y1) / BOX_UNIT,
    }
