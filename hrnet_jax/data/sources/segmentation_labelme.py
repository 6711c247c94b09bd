"""Label maps of the outlines in labelme's JSON files, one for each image."""

import base64
import binascii
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from hrnet_jax.data.files.coco_json import is_pixels, shown
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.files.listing import contents_of, listed
from hrnet_jax.data.files.text_files import read_json
from hrnet_jax.data.objects.drawn import (
    DrawnObjects,
    DrawnOptions,
    box_of_polygon,
    polygon_of_box,
)
from hrnet_jax.data.objects.folders import by_split
from hrnet_jax.data.objects.items import ImageObject, ObjectItem, ObjectSplits
from hrnet_jax.data.objects.source import cut_images
from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths
from hrnet_jax.imaging.opencv import decoded

# Corners of the polygon that a circle becomes.
_CORNERS = 72
# What labelme calls outlines, and the least of points that each has.
_OUTLINES = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}


@dataclasses.dataclass(frozen=True)
class LabelmeOptions(DrawnOptions):
    """Options of the preparation.

    Attributes:
        ratios: shares of train, val and test where folders do not divide the images.
        seed: seed of that random split.
    """

    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0


class SegmentationLabelme(DrawnObjects):
    """Own images with labelme's JSON files, as label maps.

    ```
    SOURCE/a.jpg  a.json  park/b.jpg  b.json ...     or below train/, val/, test/
    ```

    Polygons, rectangles, circles and masks are drawn in the order of the file, the
    later over the earlier, as labelme's own converters do. Classes are in the order of
    their names, unless the option `classes` gives another.
    """

    Options: ClassVar[type] = LabelmeOptions

    def read(self) -> ObjectSplits:
        """The images of all files.

        Raises:
            DataError: naming the file and the shape at fault.
        """
        paths = listed(self.source, "**/*.json")
        if not paths:
            raise DataError(
                f"{self.source} has no JSON files of labelme; it holds "
                f"{contents_of(self.source)}"
            )
        pairs = [(path, self._item(path)) for path in paths]
        splits = by_split(pairs, self.source) or cut_images(
            [item for _, item in pairs], self.options.ratios, self.options.seed
        )
        names = sorted({one.name for _, item in pairs for one in item.objects})
        return ObjectSplits(splits, tuple(names), tuple(range(1, len(names) + 1)))

    def _item(self, path: Path) -> ObjectItem:
        document = read_json(path)
        shapes = document.get("shapes") if isinstance(document, dict) else None
        if not isinstance(shapes, list):
            raise DataError(
                f"{path} has no list 'shapes'; expected a JSON file of labelme (those of "
                "COCO are prepared as segmentation_coco)"
            )
        finder = ImageFinder([path.parent, self.source], path, self.findings)
        image, _ = finder.find(document.get("imagePath"), str(path))
        sides = (document.get("imageHeight"), document.get("imageWidth"))
        size = None
        if all(is_pixels(side) and side > 0 for side in sides):
            size = float(sides[0]), float(sides[1])
        objects = [
            self._object(shape, f"{path}, shape {k}", size)
            for k, shape in enumerate(shapes, 1)
        ]
        name = path.relative_to(self.source).with_suffix("").as_posix()
        kept = tuple(one for one in objects if one is not None)
        return ObjectItem(image, name, "0", kept, str(path), size)

    def _object(
        self, shape: Any, where: str, size: tuple[float, float] | None
    ) -> ImageObject | None:
        """An outline; None for what has no inside and is to be left out."""
        if not isinstance(shape, Mapping):
            raise DataError(f"{where} is {shown(shape)}, expected an object")
        name = shape.get("label")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise DataError(f"{where}: 'label' is {shown(name)}, expected a class")
        kind = shape.get("shape_type") or "polygon"
        where = f"{where} ({name.strip()})"
        if not isinstance(kind, str) or kind not in _OUTLINES:
            if self.options.invalid == "drop":
                what = "shapes without an inside, left out"
                self.findings.count(self.source, what)
                return None
            raise DataError(
                f"{where} is of the type {shown(kind)}, which has no inside; expected "
                f"one of {', '.join(_OUTLINES)}, or leave such shapes out with "
                "invalid=drop"
            )
        points = _points(shape.get("points"), where)
        if len(points) < _OUTLINES[kind] or (kind != "polygon" and len(points) != 2):
            raise DataError(
                f"{where}: a {kind} has {len(points)} points, expected "
                f"{'3 or more' if kind == 'polygon' else 2}"
            )
        if kind == "mask":
            return _of_mask(shape.get("mask"), points, name.strip(), where, size)
        polygon = _polygon(kind, points)
        box = box_of_polygon(polygon)
        return ImageObject(box, name.strip(), where, mask=[polygon])


def _points(values: Any, where: str) -> list[tuple[float, float]]:
    good = isinstance(values, list) and all(
        isinstance(one, list) and len(one) == 2 and all(map(is_pixels, one))
        for one in values
    )
    if not good:
        raise DataError(f"{where}: 'points' is {shown(values)}, expected [[x, y], ...]")
    return [(float(x), float(y)) for x, y in values]


def _polygon(kind: str, points: list[tuple[float, float]]) -> list[float]:
    """x, y, x, y, ... of an outline; a circle is its middle and a point on it."""
    if kind == "polygon":
        return [value for point in points for value in point]
    (x1, y1), (x2, y2) = points
    if kind == "rectangle":
        return polygon_of_box((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
    radius = math.hypot(x2 - x1, y2 - y1)
    turns = [2 * math.pi * corner / _CORNERS for corner in range(_CORNERS)]
    return [
        value
        for turn in turns
        for value in (x1 + radius * math.cos(turn), y1 + radius * math.sin(turn))
    ]


def _of_mask(
    text: Any,
    points: list[tuple[float, float]],
    name: str,
    where: str,
    size: tuple[float, float] | None,
) -> ImageObject:
    """A mask stored as PNG: its first and its last pixel are the points.

    Raises:
        DataError: if it is none, or not within its image.
    """
    if size is None:
        raise DataError(f"{where}: a mask needs imageHeight and imageWidth in its file")
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    pixels = decoded(data, cv2.IMREAD_GRAYSCALE) if data else None
    if pixels is None:
        raise DataError(f"{where}: 'mask' is {shown(text)}, expected a PNG in base64")
    left, top = (int(value) for value in points[0])
    height, width = (int(side) for side in size)
    if min(left, top) < 0 or left + pixels.shape[1] > width:
        inside = False
    else:
        inside = top + pixels.shape[0] <= height
    if not inside or not pixels.any():
        raise DataError(
            f"{where}: a mask of {pixels.shape[1]}x{pixels.shape[0]} pixels at ({left}, "
            f"{top}) is empty or leaves its image of {width}x{height}"
        )
    counts = run_lengths.encode(np.asarray(pixels) > 0, (height, width), (top, left))
    x1, y1, x2, y2 = run_lengths.bounds(counts, (height, width))
    mask = {"size": [height, width], "counts": counts}
    return ImageObject((x1, y1, x2, y2), name, where, mask=mask)
