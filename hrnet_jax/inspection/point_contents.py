"""What the points of a prepared landmark set hold: counts, sizes, pictures."""

import dataclasses
import pathlib
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

import cv2
import numpy as np

from hrnet_jax.config.tables import columns
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.items import BOX_UNIT, image_of_face
from hrnet_jax.inspection.dataset_drawing import (
    CELL,
    Sample,
    draw_bars,
    draw_histograms,
)
from hrnet_jax.keypoints.drawing import PREDICTED, draw_points

# Side of a picture of a contact sheet over that of the face box.
_MARGIN = 1.5


@dataclasses.dataclass(frozen=True)
class PointCounts:
    """What the records of one split hold, which are N faces on M images.

    Attributes:
        annotated: int64 [K], faces on which the point is annotated.
        visible: int64 [K], of these where it is in sight.
        outside: int64 [K], of these where it is outside the image.
        boxes: int64 [N], sides of the boxes, rounded.
        sizes: int64 [M, 2], (height, width) of each image.
        faces: int64 [M], faces on each image.
    """

    annotated: np.ndarray
    visible: np.ndarray
    outside: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    faces: np.ndarray


class PointContents:
    """Counts and pictures of points; see `dataset_report.Contents`.

    Attributes:
        of: what has the points.
    """

    keys: ClassVar[tuple[str, ...]] = (
        *("image", "image_id", "points", "annotated", "visible", "center", "scale"),
    )
    pictures: ClassVar[tuple[str, ...]] = ("points.png", "sizes.png")
    of: ClassVar[str] = "faces"
    encoded: ClassVar[bool] = False

    def __init__(self, info: DatasetInfo) -> None:
        self._info = info
        self.counts: dict[str, PointCounts] = {}

    def count(self, split: str, samples: Iterable[Sample]) -> None:
        """Counts points, boxes and images of one split."""
        totals = np.zeros((3, len(self._info.point_names)), np.int64)
        boxes = []
        sizes: dict[str, tuple[int, ...]] = {}
        faces: Counter[str] = Counter()
        for sample in samples:
            size = sample["image"].shape[:2]
            annotated = sample["annotated"] > 0
            # From the corner of the image, as its size is.
            points = sample["points"] - self._info.point_origin + 0.5
            inside = ((points >= 0) & (points <= size[::-1])).all(1)
            totals += [
                annotated,
                annotated & (sample["visible"] > 0),
                annotated & ~inside,
            ]
            boxes.append(round(float(sample["scale"]) * BOX_UNIT))
            image = image_of_face(sample["image_id"], sizes)
            sizes[image] = size
            faces[image] += 1
        self.counts[split] = PointCounts(
            annotated=totals[0],
            visible=totals[1],
            outside=totals[2],
            boxes=np.array(boxes, np.int64),
            sizes=np.array(list(sizes.values()), np.int64),
            faces=np.array([faces[image] for image in sizes], np.int64),
        )

    def picture(self, sample: Sample) -> np.ndarray:
        """The face with its box and points, hidden ones hollow, for a contact sheet."""
        image = sample["image"]
        center = sample["center"] - self._info.point_origin
        half = float(sample["scale"]) * BOX_UNIT / 2
        limits = np.array(image.shape[1::-1])
        low = np.floor(center - half * _MARGIN).clip(0, limits - 1).astype(int)
        high = np.ceil(center + half * _MARGIN).clip(low + 1, limits).astype(int)
        region = image[low[1] : high[1], low[0] : high[0]]
        scale = CELL / max(region.shape[:2])
        size = tuple(max(1, round(side * scale)) for side in region.shape[1::-1])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        small = cv2.resize(region, size, interpolation=method)

        def placed(xy: np.ndarray) -> np.ndarray:
            # Pixel centres are whole numbers.
            return (xy - low + 0.5) * (np.array(size) / (high - low)) - 0.5

        points = placed(sample["points"] - self._info.point_origin)
        points = np.where(sample["annotated"][:, None] > 0, points, np.nan)
        box = np.concatenate([placed(center - half), placed(center + half)])
        return draw_points(
            small,
            points[None],
            lines=self._info.point_lines,
            scores=sample["visible"][None].astype(float),
            boxes=box[None],
        )

    def draw(self, folder: pathlib.Path) -> None:
        """Shares of the points; sizes of images and boxes, faces per image."""
        bars, sizes = (folder / name for name in self.pictures)
        shares = {
            split: {
                f"{self.of} where annotated": 100 * each.annotated / len(each.boxes),
                f"{self.of} where in sight": 100 * each.visible / len(each.boxes),
            }
            for split, each in self.counts.items()
        }
        names = self._info.point_names
        colours = np.tile(np.array(PREDICTED) / 255, (len(names), 1))
        draw_bars(names, colours, shares, bars)
        counts = self.counts.items()
        values = {
            "width of images, pixels": {s: e.sizes[:, 1] for s, e in counts},
            "height of images, pixels": {s: e.sizes[:, 0] for s, e in counts},
            "side of boxes, pixels": {s: e.boxes for s, e in counts},
            f"{self.of} per image, {self.of}": {s: e.faces for s, e in counts},
        }
        draw_histograms(values, sizes)

    def text(self) -> list[str]:
        """How often each point is annotated and in sight, faces and images."""
        header = ["", "point"]
        for split in self.counts:
            header += [f"{split} annotated", "%", "in sight"]
        rows = [header]
        for index, name in enumerate(self._info.point_names):
            row = [str(index), name]
            for each in self.counts.values():
                share = 100 * each.annotated[index] / len(each.boxes)
                row += [str(each.annotated[index]), f"{share:.1f}"]
                row.append(str(each.visible[index]))
            rows.append(row)
        for what, numbers in (
            (self.of, [str(len(each.boxes)) for each in self.counts.values()]),
            ("images", [str(len(each.sizes)) for each in self.counts.values()]),
            (
                f"{self.of} per image",
                [_range(each.faces) for each in self.counts.values()],
            ),
            ("side of boxes", [_range(each.boxes) for each in self.counts.values()]),
        ):
            rows.append(
                ["", what, *[cell for one in numbers for cell in (one, "", "")]]
            )
        info = self._info
        title = (
            f"{info.name}: {len(info.point_names)} points, "
            f"{len(info.point_flip_pairs)} flip pairs"
        )
        return [title, "", *columns(rows, "rlr")]

    def warnings(self) -> list[str]:
        """A line for each point that is never annotated, and for points outside."""
        lines = []
        for index, name in enumerate(self._info.point_names):
            without = [s for s, e in self.counts.items() if not e.annotated[index]]
            if without:
                everywhere = len(without) == len(self.counts)
                where = "" if everywhere else f" in {', '.join(without)}"
                lines.append(
                    f"warning: point {index} ({name}) is never annotated{where}"
                )
        for split, each in self.counts.items():
            if each.outside.any():
                worst = int(np.argmax(each.outside))
                lines.append(
                    f"warning: {each.outside.sum()} of {each.annotated.sum()} points of "
                    f"{split} are outside their image, most often "
                    f"{self._info.point_names[worst]}"
                )
        return lines

    def as_json(self) -> dict:
        """All counts."""
        return {
            "point_names": list(self._info.point_names),
            "splits": {
                split: {
                    self.of: len(each.boxes),
                    "images": len(each.sizes),
                    "annotated": each.annotated.tolist(),
                    "visible": each.visible.tolist(),
                    "outside": each.outside.tolist(),
                    "box_sides": each.boxes.tolist(),
                    "sizes": each.sizes.tolist(),
                    f"{self.of}_per_image": each.faces.tolist(),
                }
                for split, each in self.counts.items()
            },
        }


def _range(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return str(low) if low == high else f"{low} to {high}"
