"""Checks of objects before their records are written."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from hrnet_jax.data.files.coco_json import shown
from hrnet_jax.data.files.file_names import is_file
from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.objects import masks
from hrnet_jax.data.objects.items import ImageItem, ImageObject, ObjectItem
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pillow import DAMAGE, in_short, quietly

Images = Mapping[str, Sequence[ImageItem]]

# Shares of the image's size are in this corner of every image.
_CORNER = 2.0  # pixels
# Boxes may reach so far over the edge without a doubt.
_OVER = 2.0  # pixels
_FEW = 0.05
# EXIF orientations that exchange width and height.
_TURNED = (5, 6, 7, 8)
_ORIENTATION = 0x0112


def check_images(splits: Images, *, published: bool = False) -> None:
    """Checks that every image is there, and in one place of one split only.

    Args:
        splits: the images of each split.
        published: whether an image may be in several splits, as published.

    Raises:
        DataError: naming the image and what names it.
    """
    seen: dict[Path, tuple[str, ImageItem]] = {}
    for split, items in splits.items():
        names: dict[str, ImageItem] = {}
        missing = [item for item in items if not is_file(item.image)]
        if missing:
            raise DataError(
                f"{missing[0].where} names {missing[0].image}, not found "
                f"({len(missing)} of {len(items)} in {split!r})"
            )
        for item in items:
            other, first = seen.get(item.image, ("", item))
            if first is not item and not (published and other != split):
                raise DataError(
                    f"{item.where}: image {item.image.name!r} of {split!r} is already "
                    f"in {first.where} ({other!r})"
                )
            seen[item.image] = split, item
            same = names.setdefault(item.image_id, item)
            if same is not item:
                raise DataError(
                    f"{item.image} and {same.image} differ in their endings only; "
                    "expected one file for each name"
                )


def upright_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file as it is shown, by its header alone.

    Raises:
        DataError: if it is missing or no image.
    """
    try:
        with quietly(), Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION) in _TURNED
    except UnidentifiedImageError:
        raise DataError(f"{path} is not an image file") from None
    except DAMAGE as error:
        raise DataError(f"{path} is truncated or damaged: {in_short(error)}") from None
    return (width, height) if turned else (height, width)


def wrong_with(one: ImageObject, size: tuple[int, int]) -> str:
    """What is wrong with an object in an image of (height, width); empty if nothing."""
    (x1, y1, x2, y2), (height, width) = one.box, size
    box = f"the box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})"
    if x2 <= x1 or y2 <= y1:
        return f"{box} has size {x2 - x1:g} x {y2 - y1:g}; expected x2 > x1 and y2 > y1"
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return f"{box} is outside its image of {width}x{height}"
    return masks.wrong_with(one.mask, size)


def checked(
    item: ObjectItem, size: tuple[int, int], invalid: str, findings: Findings
) -> ObjectItem:
    """An image with its objects, none of which is wrong.

    Args:
        item: the image.
        size: its (height, width).
        invalid: `drop` leaves out objects with which something is wrong.
        findings: takes what is left out.

    Raises:
        DataError: naming the annotation, without `drop`.
    """
    kept = []
    for one in item.objects:
        reason = wrong_with(one, size)
        if reason and invalid != "drop":
            raise DataError(
                f"{one.where}: {reason}; mend it, or leave such objects out with "
                "invalid=drop"
            )
        if reason:
            what = "objects that are wrong (no box or mask in the image), left out"
            findings.count(item.image.parent, what)
            continue
        if _reaches_out(one, size):
            what = "boxes that reach over the edge of their image"
            findings.count(item.image.parent, what)
        kept.append(one)
    return dataclasses.replace(item, objects=tuple(kept), size=size)


def check_boxes(items: Sequence[ObjectItem], where: str) -> None:
    """Checks that boxes are (x, y, width, height) in pixels, as far as they tell.

    Args:
        items: all of a file.
        where: the file, for messages.

    Raises:
        DataError: if all are shares of the image's size, or many leave their image
            while none would if they were (x1, y1, x2, y2).
    """
    pairs = [(one, item.size) for item in items if item.size for one in item.objects]
    boxes = [one.box for item in items for one in item.objects]
    if boxes and all(max(box) <= _CORNER for box in boxes):
        raise DataError(
            f"{where}: all {len(boxes)} boxes are in the first {_CORNER:g} pixels of "
            "their images; expected pixels, not shares of the image's size"
        )
    outside = sum(_reaches_out(one, size) for one, size in pairs)
    if outside > _FEW * len(pairs) and all(_is_of_corners(*pair) for pair in pairs):
        raise DataError(
            f"{where}: {outside} of {len(pairs)} boxes leave their image, but none "
            "would as [x1, y1, x2, y2]; expected [x, y, width, height]"
        )


def check_size(item: ImageItem, size: tuple[int, int]) -> None:
    """Checks that an image has the size that the file of annotations tells.

    Raises:
        DataError: naming both sizes.
    """
    if item.size is not None and tuple(item.size) != size:
        height, width = item.size
        raise DataError(
            f"{item.where} is for an image of {width:g}x{height:g} pixels, but "
            f"{item.image} is {size[1]}x{size[0]} (upright, by its EXIF orientation); "
            "bring them to the same size and orientation"
        )


def check_crowds(splits: Mapping[str, Sequence[ObjectItem]]) -> None:
    """Checks that the training split has objects that are no crowds.

    Raises:
        DataError: if there is nothing to learn from.
    """
    items = splits.get("train", ())
    objects = [one for item in items for one in item.objects]
    if objects and all(one.crowd for one in objects):
        raise DataError(
            f"{objects[0].where}: all {len(objects)} objects of 'train' are crowds "
            "(iscrowd), which are not trained on; expected single objects"
        )


def listed_names(names: Iterable[str], most: int = 6) -> str:
    """Some names for a message."""
    names = list(names)
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown(name) for name in names[:most]) + more


def _reaches_out(one: ImageObject, size: tuple[float, float]) -> bool:
    (x1, y1, x2, y2), (height, width) = one.box, size
    return min(x1, y1) < -_OVER or x2 > width + _OVER or y2 > height + _OVER


def _is_of_corners(one: ImageObject, size: tuple[float, float]) -> bool:
    """Whether x, y, width, height can be x1, y1, x2, y2."""
    (x, y, right, bottom), (height, width) = one.box, size
    x2, y2 = right - x, bottom - y
    return x < x2 <= width + _OVER and y < y2 <= height + _OVER
