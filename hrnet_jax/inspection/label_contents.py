"""What the labels of a prepared segmentation set hold: counts, sizes, pictures."""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import ClassVar

import cv2
import numpy as np

from hrnet_jax.config.tables import columns
from hrnet_jax.data.class_weights import RULES
from hrnet_jax.data.info import LABEL_KEY, DatasetInfo
from hrnet_jax.data.summary import MOST_NOTES
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.inspection.dataset_drawing import (
    CELL,
    Sample,
    draw_bars,
    draw_histograms,
)
from hrnet_jax.segmentation.drawing import overlay


@dataclasses.dataclass(frozen=True)
class LabelCounts:
    """What the records of one split hold.

    Attributes:
        pixels: int64 [K], pixels of each class.
        images: int64 [K], images that show the class.
        ignored: pixels without a class.
        sizes: int64 [N, 2], (height, width) of each image.
        labelled: whether the images have labels; without, there are no pixels.
    """

    pixels: np.ndarray
    images: np.ndarray
    ignored: int
    sizes: np.ndarray
    labelled: bool = True


class LabelContents:
    """Counts and pictures of labels; see `dataset_report.Contents`."""

    keys: ClassVar[tuple[str, ...]] = ("image", "label")
    pictures: ClassVar[tuple[str, ...]] = ("classes.png", "sizes.png")
    encoded: ClassVar[bool] = False

    def __init__(self, info: DatasetInfo) -> None:
        self._info = info
        self._palette = info.palette or default_palette(info.num_classes)
        self.counts: dict[str, LabelCounts] = {}

    def count(self, split: str, samples: Iterable[Sample]) -> None:
        """Counts pixels, images and sizes of one split."""
        labelled = split not in self._info.unlabelled_splits
        num_classes = self._info.num_classes
        pixels = np.zeros(num_classes, np.int64)
        images = np.zeros(num_classes, np.int64)
        ignored = 0
        sizes = []
        for sample in samples:
            sizes.append(sample["image"].shape[:2])
            if not labelled:
                continue
            count = np.bincount(sample["label"].ravel(), minlength=256)
            pixels += count[:num_classes]
            images += count[:num_classes] > 0
            ignored += int(count[self._info.ignore_label])
        self.counts[split] = LabelCounts(
            pixels, images, ignored, np.array(sizes, np.int64), labelled
        )

    @property
    def _labelled(self) -> dict[str, LabelCounts]:
        return {split: each for split, each in self.counts.items() if each.labelled}

    def picture(self, sample: Sample) -> np.ndarray:
        """The image with its labels, if it has any, over it, for a contact sheet."""
        shape = sample["image"].shape[:2]
        scale = CELL / max(shape)
        size = tuple(max(1, round(side * scale)) for side in shape[::-1])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(sample["image"], size, interpolation=method)
        if LABEL_KEY not in sample:
            return image
        small = cv2.resize(
            sample[LABEL_KEY], size, interpolation=cv2.INTER_NEAREST_EXACT
        )
        return overlay(image, small, self._palette)

    def draw(self, folder: pathlib.Path) -> None:
        """Shares of the classes, and widths and heights of the images."""
        shares = {
            split: {
                "labelled pixels": 100 * each.pixels / max(1, each.pixels.sum()),
                "images": 100 * each.images / len(each.sizes),
            }
            for split, each in self._labelled.items()
        }
        bars, sizes = (folder / name for name in self.pictures)
        colours = np.array(self._palette) / 255
        draw_bars(self._info.class_names, colours, shares, bars)
        sides = {
            f"{name} of images, pixels": {
                s: e.sizes[:, k] for s, e in self.counts.items()
            }
            for k, name in ((1, "width"), (0, "height"))
        }
        draw_histograms(sides, sizes)

    def text(self) -> list[str]:
        """Pixels and images of each class in each split, and weights of the classes."""
        header = ["", "class"]
        for split in self._labelled:
            header += [f"{split} pixels", "%", "images"]
        rows = [header]
        for label, name in enumerate(self._info.class_names):
            row = [str(label), name]
            for each in self._labelled.values():
                share = 100 * each.pixels[label] / max(1, each.pixels.sum())
                row += [str(each.pixels[label]), f"{share:.3f}"]
                row.append(str(each.images[label]))
            rows.append(row)
        all_row = ["", "ignored"]
        for each in self._labelled.values():
            share = 100 * each.ignored / max(1, each.pixels.sum() + each.ignored)
            all_row += [str(each.ignored), f"{share:.3f}", f"of {len(each.sizes)}"]
        rows.append(all_row)
        title = f"{self._info.name}: {self._info.num_classes} classes"
        without = [
            f"{split}: {len(each.sizes)} images without labels"
            for split, each in self.counts.items()
            if not each.labelled
        ]
        return [title, "", *columns(rows, "rlr"), *without, "", *self._weights_table()]

    def _weights(self) -> dict[str, np.ndarray]:
        """Rule -> weights of the classes, for the split to train on."""
        return {name: rule(self._info, self._train) for name, rule in RULES.items()}

    @property
    def _train(self) -> str:
        return self._info.default_splits["train"]

    def _weights_table(self) -> list[str]:
        weights = self._weights()
        rows = [["", f"class weights of {self._train}", *weights]]
        for label, name in enumerate(self._info.class_names):
            shown = (f"{values[label]:.4f}" for values in weights.values())
            rows.append([str(label), name, *shown])
        return columns(rows, "rlr")

    def warnings(self) -> list[str]:
        """A line for each class without a pixel in some split, or for many together."""
        counts = self._labelled
        groups: dict[tuple[str, ...], list[str]] = {}
        for label, name in enumerate(self._info.class_names):
            without = tuple(s for s, each in counts.items() if not each.pixels[label])
            if without:
                groups.setdefault(without, []).append(f"{label} ({name})")
        lines = []
        for without, classes in groups.items():
            where = f" in {', '.join(without)}"
            if len(without) == len(counts):
                where = "; are the mask values and the class list as intended?"
            if len(classes) > MOST_NOTES:
                named = ", ".join(classes[:MOST_NOTES])
                lines.append(
                    f"warning: {len(classes)} of {self._info.num_classes} classes, the "
                    f"first {named}, never occur{where}"
                )
            else:
                lines += [
                    f"warning: class {one} never occurs{where}" for one in classes
                ]
        return lines

    def as_json(self) -> dict:
        """All counts."""
        return {
            "class_names": list(self._info.class_names),
            "class_weights": {
                "split": self._train,
                **{rule: values.tolist() for rule, values in self._weights().items()},
            },
            "splits": {
                split: {
                    "images": len(each.sizes),
                    "labelled": each.labelled,
                    "pixels": each.pixels.tolist(),
                    "images_with_class": each.images.tolist(),
                    "ignored_pixels": each.ignored,
                    "sizes": each.sizes.tolist(),
                }
                for split, each in self.counts.items()
            },
        }
