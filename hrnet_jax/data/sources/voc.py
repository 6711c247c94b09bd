"""Images with boxes in the XML files of Pascal VOC (Everingham et al., IJCV 2010)."""

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from hrnet_jax.data.files.coco_json import shown
from hrnet_jax.data.files.file_names import check_image_name, is_file
from hrnet_jax.data.files.image_files import read_bytes
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.files.listing import listed
from hrnet_jax.data.objects.folders import (
    by_split,
    image_named,
    images_below,
    listed_stems,
)
from hrnet_jax.data.objects.items import ImageObject, ObjectItem, ObjectSplits
from hrnet_jax.data.objects.source import ObjectOptions, ObjectSource, cut_images
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_LISTS = "ImageSets/Main"
_IMAGES = ("JPEGImages", "images")
# What the files of the challenge say of themselves; tools copy the form only.
_CHALLENGE = re.compile(r"The VOC\d{4} Database")
_CORNERS = ("edges", "pixels")


@dataclasses.dataclass(frozen=True)
class VOCOptions(ObjectOptions):
    """Options of the preparation.

    Attributes:
        ratios: shares of train, val and test where neither lists nor folders divide
            the images.
        seed: seed of that random split.
        corners: what `xmin` ... `ymax` are: `edges`, from 0, as tools write them, or
            `pixels`, the first and last of the box, from 1, as in the challenge; by
            what the files say of themselves, if empty.
        difficult: what objects marked as difficult are: `crowd`, neither trained on
            nor counted, or `object`.
    """

    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    corners: str = ""
    difficult: str = "crowd"

    def __post_init__(self):
        super().__post_init__()
        if self.corners not in ("", *_CORNERS):
            raise DataError(
                f"option corners={self.corners}: expected one of {', '.join(_CORNERS)}"
            )
        if self.difficult not in ("crowd", "object"):
            raise DataError(
                f"option difficult={self.difficult}: expected one of crowd, object"
            )


class VOC(ObjectSource):
    """Images with boxes in XML files, as in Pascal VOC.

    ```
    SOURCE/Annotations/NAME.xml   SOURCE/JPEGImages/NAME.jpg
    SOURCE/ImageSets/Main/train.txt  val.txt  test.txt
    ```

    or `train/`, `valid/` and `test/` with images and XML files together (Roboflow), or
    without any division, to be cut at random.
    """

    Options: ClassVar[type] = VOCOptions

    def read(self) -> ObjectSplits:
        """The images of all files.

        Raises:
            DataError: naming the file and the object at fault.
        """
        names = self._listed()
        if names is not None:
            paths = [self.source / "Annotations" / f"{one}.xml" for one in names]
            items = dict(zip(names, self._items(paths), strict=True))
            lists = self._lists()
            splits = {
                split: [items[one] for one in stems]
                for split, stems in listed_stems(lists).items()
            }
            if list(splits) == ["default"]:
                splits = self._cut(splits["default"])
        else:
            found = [
                path
                for path in listed(self.source, "**/*.xml")
                if path.relative_to(self.source).parts[0] != "ImageSets"
            ]
            if not found:
                raise DataError(f"{self.source} has no XML files of annotations")
            pairs = list(zip(found, self._items(found), strict=True))
            known = {item.image for _, item in pairs}
            pairs += [
                (path, _without_file(path, self.source))
                for path in images_below(self.source)
                if path not in known
            ]
            splits = by_split(pairs, self.source) or self._cut(
                [item for _, item in pairs]
            )
        numbered = {split: _numbered(items) for split, items in splits.items()}
        classes = sorted(
            {
                one.name
                for items in numbered.values()
                for item in items
                for one in item.objects
            }
        )
        return ObjectSplits(numbered, tuple(classes), tuple(range(1, len(classes) + 1)))

    def _cut(self, items: Sequence[ObjectItem]) -> dict[str, list[ObjectItem]]:
        return cut_images(items, self.options.ratios, self.options.seed)

    def _lists(self) -> dict[str, Path]:
        folder = self.source / _LISTS
        lists = {split: folder / f"{split}.txt" for split in ("train", "val", "test")}
        lists = {split: path for split, path in lists.items() if path.is_file()}
        if "train" not in lists and (folder / "trainval.txt").is_file():
            lists = {"train": folder / "trainval.txt", **lists}
            lists.pop("val", None)
        if not lists and (folder / "default.txt").is_file():
            lists = {"default": folder / "default.txt"}
        return lists

    def _listed(self) -> list[str] | None:
        """All names in the lists of the splits; None where there are none."""
        lists = self._lists()
        if not lists:
            return None
        seen: dict[str, str] = {}
        for split, stems in listed_stems(lists).items():
            for stem in stems:
                check_image_name(stem, str(lists[split]))
                if stem in seen:
                    raise DataError(
                        f"{lists[split]}: {stem!r} is already in {seen[stem]!r}"
                    )
                seen[stem] = split
                if not is_file(self.source / "Annotations" / f"{stem}.xml"):
                    raise DataError(
                        f"{lists[split]} names {stem!r}, but "
                        f"{self.source / 'Annotations' / stem}.xml is not there"
                    )
        return list(seen)

    def _items(self, paths: Sequence[Path]) -> list[ObjectItem]:
        folders = [self.source / name for name in _IMAGES]
        items = []
        for path in paths:
            root = _root(path)
            near = [*folders, path.parent, self.source]
            image = image_named(path.stem, near)
            if image is None:
                finder = ImageFinder(near, path, self.findings)
                image, _ = finder.find(root.findtext("filename"), str(path))
            corners = self.options.corners or _corners_of(root)
            objects = tuple(
                _object(entry, f"{path}, object {k}", corners, self.options.difficult)
                for k, entry in enumerate(root.iter("object"), 1)
            )
            name = path.relative_to(self.source).with_suffix("").as_posix()
            name = name.removeprefix("Annotations/")
            items.append(ObjectItem(image, name, "0", objects, str(path), _size(root)))
        return items


def _without_file(image: Path, source: Path) -> ObjectItem:
    name = image.relative_to(source).with_suffix("").as_posix()
    return ObjectItem(image, name, "0", (), f"{image} has no XML file")


def _numbered(items: Sequence[ObjectItem]) -> list[ObjectItem]:
    return [dataclasses.replace(item, number=str(k)) for k, item in enumerate(items, 1)]


def _root(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(read_bytes(path))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path} is not valid XML: {error}") from None
    if root.tag != "annotation":
        raise DataError(
            f"{path}: the outermost element is {shown(root.tag)}, expected 'annotation'"
        )
    return root


def _corners_of(root: ElementTree.Element) -> str:
    database = root.findtext("source/database") or ""
    return "pixels" if _CHALLENGE.fullmatch(database.strip()) else "edges"


def _size(root: ElementTree.Element) -> tuple[float, float] | None:
    """(height, width) where both are there; tools write 0 for what they do not know."""
    try:
        sides = [
            float(root.findtext(f"size/{key}") or 0) for key in ("height", "width")
        ]
    except ValueError:
        return None
    return (sides[0], sides[1]) if all(0 < side < FARTHEST for side in sides) else None


def _object(
    entry: ElementTree.Element, where: str, corners: str, difficult: str
) -> ImageObject:
    name = (entry.findtext("name") or "").strip()
    if not name or not name.isprintable():
        raise DataError(f"{where} has no 'name', expected that of its class")
    edges = []
    for key in _EDGES:
        text = entry.findtext(f"bndbox/{key}")
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not abs(value) <= FARTHEST:
            raise DataError(f"{where}: {key!r} is {shown(text)}, expected pixels")
        edges.append(value)
    if corners == "pixels":
        edges[0], edges[1] = edges[0] - 1, edges[1] - 1
    hard = (entry.findtext("difficult") or "0").strip() in ("1", "true", "True")
    return ImageObject(
        box=(edges[0], edges[1], edges[2], edges[3]),
        name=name,
        where=f"{where} ({name})",
        crowd=hard and difficult == "crowd",
    )
