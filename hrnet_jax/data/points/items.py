"""Faces as annotated, and the squares around them."""

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from hrnet_jax.errors import DataError

# HRNet gives the side of a face box in units of 200 pixels.
BOX_UNIT = 200.0


@dataclasses.dataclass(frozen=True)
class SquareBox:
    """The square around a face, in the frame of its points.

    Attributes:
        center: (x, y) of its middle.
        scale: its side / 200.
    """

    center: tuple[float, float]
    scale: float


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkItem:
    """One face: where its image is, and what is annotated.

    Attributes:
        image: the image file.
        image_id: name of the face, unique in its split.
        points: float64 [K, 2], x y as in the annotation file.
        visible: uint8 [K], 0 where a point is hidden.
        annotated: uint8 [K], 0 where the point is not annotated.
        box: the face box.
        box_size: what the normaliser `box` divides by.
        where: file and line of the annotation, for messages.
        image_size: (height, width) of the image, where the annotation file says it.
    """

    image: Path
    image_id: str
    points: np.ndarray
    visible: np.ndarray
    annotated: np.ndarray
    box: SquareBox
    box_size: float
    where: str
    image_size: tuple[float, float] | None = dataclasses.field(
        default=None, kw_only=True
    )


def box_around(points: np.ndarray, where: str) -> SquareBox:
    """The box that HRNet derives from points.

    Per axis from floor(min) to ceil(max); the longer side is the side of the
    square (HRNet-Facial-Landmark-Detection, lib/datasets/cofw.py; its 300W and
    WFLW files were made the same way).

    Args:
        points: [K, 2].
        where: file and line, for the message.

    Raises:
        DataError: if all points coincide.
    """
    low, high = np.floor(points.min(0)), np.ceil(points.max(0))
    center = (low + high) / 2
    scale = float(max(high - low)) / BOX_UNIT
    if scale == 0:
        raise DataError(f"{where}: all points coincide, the face box has size 0")
    return SquareBox((float(center[0]), float(center[1])), scale)


def box_from_corners(
    corners: tuple[float, float, float, float], where: str
) -> SquareBox:
    """The square around a rectangle: same middle, its longer side.

    Args:
        corners: (x1, y1, x2, y2).
        where: file and line, for the message.

    Raises:
        DataError: if a side is not positive.
    """
    x1, y1, x2, y2 = corners
    if x2 <= x1 or y2 <= y1:
        raise DataError(
            f"{where}: the box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}) has size "
            f"{x2 - x1:g} x {y2 - y1:g}; expected x2 > x1 and y2 > y1"
        )
    side = max(x2 - x1, y2 - y1)
    return SquareBox(((x1 + x2) / 2, (y1 + y2) / 2), side / BOX_UNIT)


def fully_annotated(
    *, image: Path, image_id: str, points: np.ndarray, box: SquareBox, where: str
) -> LandmarkItem:
    """A face whose points are all annotated and visible."""
    ones = np.ones(len(points), np.uint8)
    return LandmarkItem(
        image=image,
        image_id=image_id,
        points=points,
        visible=ones,
        annotated=ones,
        box=box,
        box_size=box.scale * BOX_UNIT,
        where=where,
    )


def name_faces(names: Sequence[str]) -> list[str]:
    """Names without suffix; more faces of one image get `#2`, `#3`, ..."""
    seen: Counter[str] = Counter()
    faces = []
    for name in names:
        key = Path(name).with_suffix("").as_posix()
        seen[key] += 1
        faces.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
    return faces


def image_of_face(name: str, images: Collection[str]) -> str:
    """The name of a face's image, after `name_faces`.

    Args:
        name: of the face.
        images: names of the images of faces before this one.
    """
    image = re.sub(r"#\d+$", "", name)
    return image if image in images else name
