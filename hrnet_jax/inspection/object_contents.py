"""What the objects of a prepared set hold: counts, sizes, pictures."""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import ClassVar

import cv2
import numpy as np

from hrnet_jax.config.tables import columns
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.imaging import run_lengths
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.inspection.dataset_drawing import (
    CELL,
    Sample,
    draw_bars,
    draw_histograms,
)

# Sides of boxes between which COCO counts objects as small, medium and large.
_SMALL, _LARGE = 32, 96
_MASK_WEIGHT = 0.4
_MOST_COLOURS = 256
_CROWD = (150, 150, 150)


@dataclasses.dataclass(frozen=True)
class ObjectCounts:
    """What the records of one split hold, which are M images with N objects.

    Attributes:
        objects: int64 [K], objects of each class, crowds aside.
        images: int64 [K], images that show the class.
        crowds: number of crowds.
        outside: boxes that reach over the edge of their image.
        sides: int64 [N], square roots of the areas, rounded.
        sizes: int64 [M, 2], (height, width) of each image.
        in_image: int64 [M], objects in each image.
    """

    objects: np.ndarray
    images: np.ndarray
    crowds: int
    outside: int
    sides: np.ndarray
    sizes: np.ndarray
    in_image: np.ndarray


class ObjectContents:
    """Counts and pictures of objects; see `dataset_report.Contents`."""

    keys: ClassVar[tuple[str, ...]] = (
        *("image", "image_id", "boxes", "box_class", "box_crowd", "box_area"),
    )
    pictures: ClassVar[tuple[str, ...]] = ("objects.png", "sizes.png")
    encoded: ClassVar[bool] = False

    def __init__(self, info: DatasetInfo) -> None:
        self._info = info
        number = len(info.box_class_names)
        # Of more classes some share a colour.
        palette = default_palette(min(number, _MOST_COLOURS))
        self._palette = [palette[label % _MOST_COLOURS] for label in range(number)]
        self.counts: dict[str, ObjectCounts] = {}

    def count(self, split: str, samples: Iterable[Sample]) -> None:
        """Counts objects, their sizes, and images of one split."""
        number = len(self._info.box_class_names)
        objects, images = np.zeros(number, np.int64), np.zeros(number, np.int64)
        crowds = outside = 0
        sides: list[np.ndarray] = []
        sizes, in_image = [], []
        for sample in samples:
            single = sample["box_crowd"] == 0
            height, width = sample["image"].shape[:2]
            counts = np.bincount(sample["box_class"][single], minlength=number)
            objects += counts
            images += counts > 0
            crowds += int((~single).sum())
            low, high = sample["boxes"][:, :2], sample["boxes"][:, 2:]
            over = (low < 0).any(1) | (high > np.array([width, height])).any(1)
            outside += int(over.sum())
            sides.append(np.rint(np.sqrt(sample["box_area"][single])).astype(np.int64))
            sizes.append((height, width))
            in_image.append(int(single.sum()))
        self.counts[split] = ObjectCounts(
            objects=objects,
            images=images,
            crowds=crowds,
            outside=outside,
            sides=np.concatenate(sides),
            sizes=np.array(sizes, np.int64),
            in_image=np.array(in_image, np.int64),
        )

    def picture(self, sample: Sample) -> np.ndarray:
        """The image with boxes, and masks, in the colours of their classes."""
        image = sample["image"]
        scale = CELL / max(image.shape[:2])
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        size = width, height
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        small = np.ascontiguousarray(cv2.resize(image, size, interpolation=method))
        texts = sample.get("masks", "").split(" ")
        for index, box in enumerate(sample["boxes"]):
            colour = self._palette[int(sample["box_class"][index])]
            colour = _CROWD if sample["box_crowd"][index] else colour
            if index < len(texts) and texts[index]:
                mask = run_lengths.decode(texts[index], image.shape[:2])
                shown = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) > 0
                mixed = (1 - _MASK_WEIGHT) * small[shown]
                small[shown] = np.rint(mixed + _MASK_WEIGHT * np.array(colour))
            x1, y1, x2, y2 = (int(value) for value in np.rint(box * scale))
            cv2.rectangle(small, (x1, y1), (x2 - 1, y2 - 1), colour, 1)
        return small

    def draw(self, folder: pathlib.Path) -> None:
        """Shares of the classes; sizes of images and objects, objects per image."""
        bars, sizes = (folder / name for name in self.pictures)
        counts = self.counts.items()
        shares = {
            split: {
                "objects": 100 * each.objects / max(1, each.objects.sum()),
                "images with the class": 100 * each.images / len(each.sizes),
            }
            for split, each in counts
        }
        colours = np.array(self._palette).reshape(-1, 3) / 255
        draw_bars(self._info.box_class_names, colours, shares, bars)
        values = {
            "width of images, pixels": {s: e.sizes[:, 1] for s, e in counts},
            "height of images, pixels": {s: e.sizes[:, 0] for s, e in counts},
            "objects per image, objects": {s: e.in_image for s, e in counts},
        }
        if all(len(each.sides) for each in self.counts.values()):
            values["root of area, pixels"] = {s: e.sides for s, e in counts}
        draw_histograms(values, sizes)

    def text(self) -> list[str]:
        """How often each class is shown, in how many images, and how large."""
        header = ["", "class"]
        for split in self.counts:
            header += [f"{split} objects", "%", "images"]
        rows = [header]
        for label, name in enumerate(self._info.box_class_names):
            row = [str(label), name]
            for each in self.counts.values():
                share = 100 * each.objects[label] / max(1, each.objects.sum())
                row += [str(each.objects[label]), f"{share:.1f}"]
                row.append(str(each.images[label]))
            rows.append(row)
        counts = self.counts.values()
        for what, numbers in (
            ("all", [str(each.objects.sum()) for each in counts]),
            ("crowds", [str(each.crowds) for each in counts]),
            ("small", [str((each.sides < _SMALL).sum()) for each in counts]),
            ("large", [str((each.sides > _LARGE).sum()) for each in counts]),
            ("images", [str(len(each.sizes)) for each in counts]),
            ("without objects", [str((each.in_image == 0).sum()) for each in counts]),
            ("objects per image", [_range(each.in_image) for each in counts]),
        ):
            rows.append(
                ["", what, *[cell for one in numbers for cell in (one, "", "")]]
            )
        kinds = "boxes and masks" if self._info.object_masks else "boxes"
        title = f"{self._info.name}: {kinds} of {len(self._palette)} classes"
        return [title, "", *columns(rows, "rlr")]

    def warnings(self) -> list[str]:
        """A line for each class that a split does not show, and for boxes outside."""
        lines = []
        for label, name in enumerate(self._info.box_class_names):
            without = [s for s, each in self.counts.items() if not each.objects[label]]
            if without:
                everywhere = len(without) == len(self.counts)
                where = "" if everywhere else f" in {', '.join(without)}"
                lines.append(f"warning: class {label} ({name}) has no object{where}")
        for split, each in self.counts.items():
            total = each.objects.sum() + each.crowds
            if each.outside:
                lines.append(
                    f"warning: {each.outside} of {total} boxes of {split} reach over "
                    "the edge of their image"
                )
        return lines

    def as_json(self) -> dict:
        """All counts."""
        return {
            "box_class_names": list(self._info.box_class_names),
            "splits": {
                split: {
                    "objects": each.objects.tolist(),
                    "images_with": each.images.tolist(),
                    "crowds": each.crowds,
                    "outside": each.outside,
                    "sides": each.sides.tolist(),
                    "sizes": each.sizes.tolist(),
                    "objects_per_image": each.in_image.tolist(),
                }
                for split, each in self.counts.items()
            },
        }


def _range(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return str(low) if low == high else f"{low} to {high}"
