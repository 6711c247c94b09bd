"""Persons as annotated, and the images that show them."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Person:
    """One annotated person of an image.

    Attributes:
        points: float64 [K, 2], x y as in the file of annotations.
        visible: uint8 [K], 0 where a point is hidden.
        annotated: uint8 [K], 0 where a point is not annotated.
        box: (x1, y1, x2, y2) in the frame of the points; crops are made of it.
        bbox: (x, y, width, height) as the file tells it, which COCO's counting reads.
        area: in pixels; that of the box where no file tells it.
        where: file and annotation, for messages.
        head_size: in pixels; 0 where it is not known.
        number: id of the annotation.
        crowd: whether it stands for several, which are neither learnt nor counted.
        taught: whether it is an example: it has points and a box.
    """

    points: np.ndarray
    visible: np.ndarray
    annotated: np.ndarray
    box: Box
    bbox: Box
    area: float
    where: str
    head_size: float = 0.0
    number: int = 0
    crowd: bool = False
    taught: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class PersonItem:
    """One image and its persons.

    Attributes:
        image: the image file.
        image_id: its name, unique in its split.
        number: id of the image in the file of annotations.
        persons: those that are annotated.
        where: file and entry, for messages.
        size: (height, width) in pixels as the file of annotations has it, or None.
    """

    image: Path
    image_id: str
    number: int
    persons: tuple[Person, ...]
    where: str
    size: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class PersonSplits:
    """All that a source of persons holds.

    Attributes:
        splits: the images of each split, in record order.
        category: number of the category in the files of annotations.
    """

    splits: Mapping[str, Sequence[PersonItem]]
    category: int = 1


def box_from_points(points: np.ndarray, annotated: np.ndarray) -> Box:
    """The smallest box around annotated points; of size 0 for a single one.

    Args:
        points: float [K, 2].
        annotated: bool [K], at least one.
    """
    low, high = points[annotated].min(0), points[annotated].max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def area_of(box: Iterable[float]) -> float:
    """Of (x1, y1, x2, y2), in pixels; 0 for an empty one."""
    x1, y1, x2, y2 = box
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)


def in_sides(box: Iterable[float]) -> Box:
    """(x, y, width, height) of (x1, y1, x2, y2)."""
    x1, y1, x2, y2 = box
    return x1, y1, x2 - x1, y2 - y1
