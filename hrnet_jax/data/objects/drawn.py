"""Label maps drawn of the outlines that tools for annotation store."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.files.image_files import Example, encode_png, read_image
from hrnet_jax.data.info import IGNORE_LABEL, DatasetInfo
from hrnet_jax.data.objects import checks, masks
from hrnet_jax.data.objects.items import ImageObject, ObjectItem
from hrnet_jax.data.objects.source import ObjectOptions, ObjectSource
from hrnet_jax.data.points.custom import Pairs, flip_pairs_of_classes
from hrnet_jax.data.writing import segmentation_features
from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths
from hrnet_jax.imaging.palette import Colour, default_palette

IGNORE = "ignore"
_OVERLAPS = ("later", "smaller", IGNORE)


@dataclasses.dataclass(frozen=True)
class DrawnOptions(ObjectOptions):
    """Options of all sets whose labels are drawn.

    Attributes:
        background: name of the class of pixels without an object, label 0 unless the
            files have a class of this name; `ignore` where such pixels are not labelled.
        overlap: which object a pixel of several shows: `later`, the one annotated
            later (or higher up), `smaller`, or `ignore`, none where their classes
            differ; None for what suits the files.
        boxes: what objects without an outline become: `fill` fills their boxes, `drop`
            leaves them out; asked where there are some.
        flip_pairs: classes that swap when mirrored, as `left arm:right arm`; `none`
            for none; required where names differ in the side only.
    """

    background: str = "background"
    overlap: str | None = None
    boxes: str = ""
    flip_pairs: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        for key, known in (
            ("overlap", (None, *_OVERLAPS)),
            ("boxes", ("", "fill", "drop")),
        ):
            if getattr(self, key) not in known:
                raise DataError(
                    f"option {key}={getattr(self, key)}: expected one of "
                    f"{', '.join(filter(None, known))}"
                )
        if not self.background.strip():
            raise DataError(
                f"option background is empty; expected the name of a class, or {IGNORE}"
            )


class DrawnObjects(ObjectSource):
    """Base of segmentation sets that come as outlines of objects.

    A subclass gives `read`, whose objects are in the order of their annotation, the
    lowest first. Crowds lie below all others.

    Attributes:
        overlap: what the option of that name is where a user says nothing.
        colours: class -> colour, as far as the files tell.
    """

    Options: ClassVar[type] = DrawnOptions
    overlap: ClassVar[str] = "later"
    colours: Mapping[str, Colour] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in label order.

        Raises:
            DataError: if they are not 2 to 255.
        """
        names, background = self.contents.names, self.options.background
        if background != IGNORE and background not in names:
            names = (background, *names)
        if not 2 <= len(names) <= IGNORE_LABEL:
            raise DataError(
                f"{self.source} has {len(names)} classes ({checks.listed_names(names)}), "
                f"expected 2..{IGNORE_LABEL}"
            )
        return names

    def info(self, name: str) -> DatasetInfo:
        """Names and colours of the classes."""
        names = self.class_names
        chosen = zip(names, default_palette(len(names)), strict=True)
        return DatasetInfo(
            name=name,
            num_classes=len(names),
            class_names=names,
            palette=tuple(self.colours.get(each, colour) for each, colour in chosen),
            flip_pairs=self._flip_pairs(names),
            default_splits=self._chosen_splits({}),
            findings=self.findings.listed(),
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, label and name."""
        return segmentation_features()

    def example(self, split: str, item: ObjectItem) -> Example:
        """Reads the image, checks its size, and draws the labels.

        Raises:
            DataError: naming the image or the annotation at fault.
        """
        del split
        image = read_image(item.image)
        size = image.height, image.width
        checks.check_size(item, size)
        labels = self._draw(item, size)
        stored = {
            "image": image.data,
            "label": encode_png(labels),
            "image_id": item.image_id,
        }
        return Example(stored, size, labels)

    def _draw(self, item: ObjectItem, size: tuple[int, int]) -> np.ndarray:
        """uint8 [H, W], the labels of an image."""
        numbers = {name: label for label, name in enumerate(self.class_names)}
        rest = numbers.get(self.options.background, IGNORE_LABEL)
        labels = np.full(size, rest, np.uint8)
        covered = np.zeros(size, bool)
        overlap = self.options.overlap or self.overlap
        for one, text in self._in_order(item, size, overlap):
            inside = run_lengths.decode(text, size) > 0
            label = numbers[one.name]
            if overlap == IGNORE:
                clash = inside & covered & (labels != label)
                labels[inside & ~covered] = label
                labels[clash] = IGNORE_LABEL
            else:
                labels[inside] = label
            covered |= inside
        return labels

    def _in_order(
        self, item: ObjectItem, size: tuple[int, int], overlap: str
    ) -> Sequence[tuple[ImageObject, str]]:
        """Objects with their run lengths, the lowest first."""
        drawn = [(one, self._outline(one, size)) for one in item.objects]
        drawn = [(one, text) for one, text in drawn if text]
        if overlap == "smaller":
            drawn.sort(key=lambda pair: -run_lengths.area(pair[1]))
        return sorted(drawn, key=lambda pair: not pair[0].crowd)

    def _outline(self, one: ImageObject, size: tuple[int, int]) -> str:
        """Run lengths of an object; empty for a box that is left out.

        Raises:
            DataError: for a box, unless the option says what becomes of it.
        """
        mask: Any = one.mask
        if not mask and not self.options.boxes:
            raise DataError(
                f"{one.where} has a box but no outline; say boxes=fill (the whole box "
                "shows the class) or boxes=drop"
            )
        if not mask and self.options.boxes == "drop":
            return ""
        mask = mask or [polygon_of_box(one.box)]
        reason = masks.wrong_with(mask, size)
        if reason:
            raise DataError(f"{one.where}: {reason}")
        return masks.encoded(mask, size)

    def _flip_pairs(self, names: tuple[str, ...]) -> Pairs:
        return flip_pairs_of_classes(self.options.flip_pairs, names)


def polygon_of_box(box: Sequence[float]) -> list[float]:
    """x and y of the corners of (x1, y1, x2, y2)."""
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def box_of_polygon(polygon: Sequence[float]) -> tuple[float, float, float, float]:
    """(x1, y1, x2, y2) around x, y, x, y, ..."""
    x, y = polygon[0::2], polygon[1::2]
    return float(min(x)), float(min(y)), float(max(x)), float(max(y))
