"""Label maps of the outlines in CVAT's XML file of images."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np

from hrnet_jax.data.files.coco_json import shown
from hrnet_jax.data.files.image_files import read_bytes
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.files.listing import contents_of
from hrnet_jax.data.objects.drawn import DrawnObjects, DrawnOptions, box_of_polygon
from hrnet_jax.data.objects.items import ImageObject, ObjectItem, ObjectSplits
from hrnet_jax.data.objects.source import cut_images
from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths
from hrnet_jax.imaging.boxes import FARTHEST
from hrnet_jax.imaging.palette import Colour

_FILE = "annotations.xml"
# What CVAT calls the parts of a set -> split.
_SUBSETS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
# Elements of an image that are no outline, but can be left out.
_WITHOUT_INSIDE = ("polyline", "points", "cuboid", "skeleton")
# Corners of the polygon that an ellipse becomes.
_CORNERS = 72
_LARGEST_SIDE = 2**15


@dataclasses.dataclass(frozen=True)
class CVATOptions(DrawnOptions):
    """Options of the preparation.

    Attributes:
        annotations: the XML file in the source folder.
        ratios: shares of train, val and test where the file does not divide the images.
        seed: seed of that random split.
    """

    annotations: str = _FILE
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0


class SegmentationCVAT(DrawnObjects):
    """Own images with CVAT's XML file ("CVAT for images 1.1"), as label maps.

    ```
    SOURCE/annotations.xml     SOURCE/images/a.jpg ...
    ```

    Polygons, ellipses and masks are drawn by their `z_order`, those of the same by
    their order in the file. Classes, their order and their colours are those of the
    project. (The export "Segmentation mask" is prepared as segmentation_folder.)
    """

    Options: ClassVar[type] = CVATOptions

    def read(self) -> ObjectSplits:
        """The images of the file.

        Raises:
            DataError: naming the image and the element at fault.
        """
        path = self.source / self.options.annotations
        items = [
            (entry.get("subset") or "", self._item(entry, path))
            for entry in self._root.iter("image")
        ]
        if not items:
            raise DataError(f"{path} has no images")
        used = {one.name for _, item in items for one in item.objects}
        told = [name for name, _ in self._labels]
        names = (*told, *sorted(used - set(told)))
        numbers = tuple(range(1, len(names) + 1))
        splits: dict[str, list[ObjectItem]] = {}
        for subset, item in items:
            splits.setdefault(_SUBSETS.get(subset.lower(), ""), []).append(item)
        if "" in splits:
            options = self.options
            everything = [item for _, item in items]
            splits = cut_images(everything, options.ratios, options.seed)
        return ObjectSplits(splits, tuple(names), numbers)

    @functools.cached_property
    def colours(self) -> Mapping[str, Colour]:  # type: ignore[override]
        """Colours of the classes in the project."""
        found = {}
        for name, text in self._labels:
            try:
                red, green, blue = bytes.fromhex(text.removeprefix("#"))
            except ValueError:
                continue
            found[name] = (red, green, blue)
        return found

    @functools.cached_property
    def _root(self) -> ElementTree.Element:
        path = self.source / self.options.annotations
        if not path.is_file():
            raise DataError(
                f"{path} is missing; expected the XML file of the export 'CVAT for "
                f"images 1.1'; {self.source} holds {contents_of(self.source)}"
            )
        try:
            root = ElementTree.fromstring(read_bytes(path))
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise DataError(f"{path} is not valid XML: {error}") from None
        if root.tag != "annotations" or root.find("track") is not None:
            raise DataError(
                f"{path}: expected 'annotations' with images, as the export 'CVAT for "
                f"images 1.1' has them, got {shown(root.tag)}"
                f"{' with tracks of a video' if root.find('track') is not None else ''}"
            )
        return root

    @functools.cached_property
    def _labels(self) -> list[tuple[str, str]]:
        """(name, colour) of the classes of the project, in its order."""
        found: dict[str, str] = {}
        for entry in self._root.findall("meta//labels/label"):
            name = (entry.findtext("name") or "").strip()
            if name and name.isprintable():
                found.setdefault(name, (entry.findtext("color") or "").strip())
        return list(found.items())

    def _item(self, entry: ElementTree.Element, path: Path) -> ObjectItem:
        name = entry.get("name")
        where = f"{path}, image {shown(name)}"
        size = _number(entry, "height", where), _number(entry, "width", where)
        if not all(side == int(side) and 0 < side <= _LARGEST_SIDE for side in size):
            raise DataError(f"{where}: its size is {size[1]:g}x{size[0]:g} pixels")
        folder = self.source / "images"
        subset = entry.get("subset") or "default"
        near = [folder, folder / subset, self.source, self.source / subset]
        image, found = ImageFinder(near, path, self.findings).find(name, where)
        objects = []
        for k, element in enumerate(entry, 1):
            if element.tag == "tag":
                continue
            one = self._object(element, f"{where}, element {k}", size)
            if one is not None:
                order = _number(element, "z_order", where, 0.0)
                objects.append((order, one))
        objects.sort(key=lambda pair: pair[0])
        name = Path(found).with_suffix("").as_posix()
        kept = tuple(one for _, one in objects)
        return ObjectItem(image, name, "0", kept, where, size)

    def _object(
        self, element: ElementTree.Element, where: str, size: tuple[float, float]
    ) -> ImageObject | None:
        name = (element.get("label") or "").strip()
        if not name or not name.isprintable():
            raise DataError(f"{where} ({element.tag}) has no 'label'")
        where = f"{where} ({name})"
        if element.tag == "polygon":
            polygon = _points(element.get("points"), where)
            return ImageObject(box_of_polygon(polygon), name, where, mask=[polygon])
        if element.tag == "ellipse":
            polygon = _ellipse(element, where)
            return ImageObject(box_of_polygon(polygon), name, where, mask=[polygon])
        if element.tag == "mask":
            return _mask(element, name, where, size)
        if element.tag == "box":
            x1, y1, x2, y2 = (
                _number(element, key, where) for key in ("xtl", "ytl", "xbr", "ybr")
            )
            return ImageObject((x1, y1, x2, y2), name, where)
        if element.tag in _WITHOUT_INSIDE and self.options.invalid == "drop":
            self.findings.count(self.source, "shapes without an inside, left out")
            return None
        raise DataError(
            f"{where} is {shown(element.tag)}, which has no inside; expected polygon, "
            "ellipse, mask or box, or leave such shapes out with invalid=drop"
        )


def _number(
    element: ElementTree.Element, key: str, where: str, otherwise: float | None = None
) -> float:
    text = element.get(key)
    if text is None and otherwise is not None:
        return otherwise
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) <= FARTHEST:
        raise DataError(f"{where}: {key!r} is {shown(text)}, expected a number")
    return value


def _points(text: str | None, where: str) -> list[float]:
    """x, y, x, y, ... of `x,y;x,y;...`."""
    try:
        pairs = [list(map(float, one.split(","))) for one in (text or "").split(";")]
    except ValueError:
        pairs = [[]]
    good = all(
        len(one) == 2 and all(abs(value) <= FARTHEST for value in one) for one in pairs
    )
    if not good:
        raise DataError(f"{where}: 'points' is {shown(text)}, expected 'x,y;x,y;...'")
    return [value for one in pairs for value in one]


def _ellipse(element: ElementTree.Element, where: str) -> list[float]:
    """Corners of a polygon; CVAT turns an ellipse clockwise by degrees."""
    x, y, across, down = (
        _number(element, key, where) for key in ("cx", "cy", "rx", "ry")
    )
    turn = math.radians(_number(element, "rotation", where, 0.0))
    corners = []
    for corner in range(_CORNERS):
        angle = 2 * math.pi * corner / _CORNERS
        along, aside = across * math.cos(angle), down * math.sin(angle)
        corners.append(x + along * math.cos(turn) - aside * math.sin(turn))
        corners.append(y + along * math.sin(turn) + aside * math.cos(turn))
    return corners


def _mask(
    element: ElementTree.Element, name: str, where: str, size: tuple[float, float]
) -> ImageObject:
    """A mask: run lengths of a part of the image, row by row, first those outside."""
    sides = [_number(element, key, where) for key in ("height", "width", "top", "left")]
    rows, columns, top, left = (int(side) for side in sides)
    height, width = (int(side) for side in size)
    try:
        runs = [int(one) for one in (element.get("rle") or "").split(",")]
    except ValueError:
        runs = [-1]
    inside = min(rows, columns, top, left) >= 0
    inside = inside and top + rows <= height and left + columns <= width
    if not inside or min(runs) < 0 or sum(runs) != rows * columns:
        raise DataError(
            f"{where}: 'rle' is {shown(element.get('rle'))}, expected run lengths of "
            f"{columns}x{rows} pixels at ({left}, {top}) within the image of "
            f"{width}x{height}"
        )
    flat = np.repeat(np.arange(len(runs)) % 2, runs)
    text = run_lengths.encode(flat.reshape(rows, columns), (height, width), (top, left))
    box = run_lengths.bounds(text, (height, width))
    return ImageObject(box, name, where, mask={"size": [height, width], "counts": text})
