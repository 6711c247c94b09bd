"""What the images of a prepared classification set show: counts, sizes, pictures."""

import dataclasses
import io
import pathlib
from collections.abc import Iterable
from typing import ClassVar

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.config.tables import columns
from hrnet_jax.data.files.image_files import read_size
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.summary import MOST_NOTES
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.imaging.pictures import font
from hrnet_jax.inspection.dataset_drawing import (
    CELL,
    Sample,
    draw_bars,
    draw_histograms,
    end_that_fits,
)

# Of more classes the rarest and the commonest are drawn.
_MOST_BARS = 60
_MOST_COLOURS = 256
_BAND, _TEXT_SIZE = 20, 12


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """What the records of one split hold, which are N images.

    Attributes:
        images: int64 [K], images of each class.
        classes: int64 [N], number of classes of each image.
        sizes: int64 [N, 2], (height, width) of each image.
    """

    images: np.ndarray
    classes: np.ndarray
    sizes: np.ndarray


class ClassContents:
    """Counts and pictures of images with classes; see `dataset_report.Contents`."""

    keys: ClassVar[tuple[str, ...]] = ("image", "image_id")
    pictures: ClassVar[tuple[str, ...]] = ("classes.png", "sizes.png")
    encoded: ClassVar[bool] = True

    def __init__(self, info: DatasetInfo) -> None:
        self._info = info
        number = len(info.image_class_names)
        palette = default_palette(min(number, _MOST_COLOURS))
        self._palette = [palette[label % _MOST_COLOURS] for label in range(number)]
        self.counts: dict[str, ClassCounts] = {}

    def count(self, split: str, samples: Iterable[Sample]) -> None:
        """Counts images of each class, and their sizes, of one split.

        Raises:
            DataError: naming an image whose file does not tell its size.
        """
        images = np.zeros(len(self._info.image_class_names), np.int64)
        classes, sizes = [], []
        for sample in samples:
            labels = self._labels(sample)
            images[labels] += 1
            classes.append(len(labels))
            size = read_size(io.BytesIO(sample["image"]))
            if size is None:
                raise DataError(
                    f"image {sample['image_id']!r} of {self._info.name!r} does not "
                    "decode; prepare the data set again (--overwrite)"
                )
            sizes.append(size)
        self.counts[split] = ClassCounts(
            images, np.array(classes, np.int64), np.array(sizes, np.int64)
        )

    def _labels(self, sample: Sample) -> list[int]:
        """Indices of the classes of an image; none where they are not published."""
        if "classes" in sample:
            return np.flatnonzero(sample["classes"]).tolist()
        return [int(sample["class"])] if "class" in sample else []

    def picture(self, sample: Sample) -> np.ndarray:
        """The image with the names of its classes below, for a contact sheet."""
        image = sample["image"]
        if image.ndim == 2 or image.shape[2] == 1:
            image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
        scale = min(CELL / image.shape[1], (CELL - _BAND) / image.shape[0])
        size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        canvas = Image.new("RGB", (CELL, size[1] + _BAND), "white")
        small = cv2.resize(image, size, interpolation=method)
        canvas.paste(Image.fromarray(small), (0, 0))
        names = (self._info.image_class_names[one] for one in self._labels(sample))
        text = end_that_fits(", ".join(names))
        place = (2, size[1] + 2)
        ImageDraw.Draw(canvas).text(place, text, "#a02020", font=font(_TEXT_SIZE))
        return np.asarray(canvas)

    def draw(self, folder: pathlib.Path) -> None:
        """Shares of the classes, and widths and heights of the images."""
        bars, sizes = (folder / name for name in self.pictures)
        shown = self._order()
        if len(shown) > _MOST_BARS:
            half = _MOST_BARS // 2
            shown = np.concatenate([shown[:half], shown[-half:]])
        else:
            shown = np.sort(shown)
        counts = self.counts.items()
        shares = {
            split: {"images": 100 * each.images[shown] / max(1, len(each.sizes))}
            for split, each in counts
        }
        names = [self._info.image_class_names[label] for label in shown]
        colours = np.array(self._palette).reshape(-1, 3)[shown] / 255
        draw_bars(names, colours, shares, bars)
        values = {
            "width of images, pixels": {s: e.sizes[:, 1] for s, e in counts},
            "height of images, pixels": {s: e.sizes[:, 0] for s, e in counts},
        }
        if self._info.multi_label:
            values["classes per image, classes"] = {s: e.classes for s, e in counts}
        draw_histograms(values, sizes)

    def _order(self) -> np.ndarray:
        """Classes from the rarest to the commonest in the first split."""
        first = next(iter(self.counts.values()))
        return np.argsort(first.images, kind="stable")

    def text(self) -> list[str]:
        """Images of each class in each split."""
        header = ["", "class"]
        for split in self.counts:
            header += [f"{split} images", "%"]
        rows = [header]
        for label, name in enumerate(self._info.image_class_names):
            row = [str(label), name]
            for each in self.counts.values():
                share = 100 * each.images[label] / max(1, len(each.sizes))
                row += [str(each.images[label]), f"{share:.2f}"]
            rows.append(row)
        totals = ["", "all"]
        for each in self.counts.values():
            totals += [str(len(each.sizes)), ""]
        rows.append(totals)
        several = ", several for an image" if self._info.multi_label else ""
        number = len(self._info.image_class_names)
        title = f"{self._info.name}: images of {number} classes{several}"
        return [title, "", *columns(rows, "rlr")]

    def warnings(self) -> list[str]:
        """A line for classes that a split has no image of."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for label, name in enumerate(self._info.image_class_names):
            without = tuple(s for s, e in self.counts.items() if not e.images[label])
            if without:
                groups.setdefault(without, []).append(f"{label} ({name})")
        lines = []
        for without, classes in groups.items():
            where = (
                f" in {', '.join(without)}" if len(without) < len(self.counts) else ""
            )
            named = ", ".join(classes[:MOST_NOTES])
            more = len(classes) - MOST_NOTES
            named += f" and {more} more" if more > 0 else ""
            lines.append(f"warning: no image of class {named}{where}")
        return lines

    def as_json(self) -> dict:
        """All counts."""
        return {
            "image_class_names": list(self._info.image_class_names),
            "image_class_ids": list(self._info.image_class_ids),
            "splits": {
                split: {
                    "images": each.images.tolist(),
                    "classes_per_image": each.classes.tolist(),
                    "sizes": each.sizes.tolist(),
                }
                for split, each in self.counts.items()
            },
        }
