"""The merged annotation file of PASCAL in Detail: masks of categories in images."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.data.files.coco_json import as_id, checked_id, is_number, shown
from hrnet_jax.data.files.file_names import check_image_name
from hrnet_jax.data.files.label_files import LARGEST_VALUE, LabelFile
from hrnet_jax.data.files.text_files import read_json
from hrnet_jax.data.objects.masks import encoded, wrong_with
from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths

_LARGEST_SIDE = 2**15


@dataclasses.dataclass(frozen=True)
class DetailImage:
    """An image of the file.

    Attributes:
        name: of its file.
        phase: the split it belongs to.
        size: (height, width) in pixels.
        masks: (number of the category, run lengths, where it stands in the file).
    """

    name: str
    phase: str
    size: tuple[int, int]
    masks: list[tuple[int, Any, str]] = dataclasses.field(default_factory=list)

    def label(self) -> LabelFile:
        """The numbers of the categories, 0 where there is none.

        Masks are drawn in the order of the file, the later over the earlier, as the
        Detail API does (`getMask`).

        Raises:
            DataError: naming a mask that does not fit its image.
        """
        values = np.zeros(self.size, np.uint16)
        for category, mask, where in self.masks:
            if wrong := wrong_with(mask, self.size):
                raise DataError(f"{where}: {wrong}")
            values[run_lengths.decode(encoded(mask, self.size), self.size) > 0] = (
                category
            )
        return LabelFile(values, None)


def read_detail(path: Path) -> list[DetailImage]:
    """The images of `trainval_merged.json` with their masks.

    Raises:
        DataError: naming the entry at fault.
    """
    document = read_json(path)
    for key in ("images", "annos_segmentation"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(
                f"{path} has no list {key!r}; expected the merged annotations of PASCAL "
                "in Detail, with images and annos_segmentation"
            )
    images: dict[str, DetailImage] = {}
    names: set[str] = set()
    for number, entry in enumerate(document["images"], start=1):
        where = f"{path}: entry {number} of 'images'"
        identity, image = _image(entry, where)
        if identity in images or image.name in names:
            raise DataError(
                f"{where} ({image.name!r}) has id or file of another; expected its own"
            )
        images[identity] = image
        names.add(image.name)
    for number, entry in enumerate(document["annos_segmentation"], start=1):
        where = f"{path}: entry {number} of 'annos_segmentation'"
        if not isinstance(entry, dict):
            raise DataError(f"{where} is {shown(entry)}, expected an object")
        identity = as_id(entry.get("image_id")) or ""
        if identity not in images:
            raise DataError(
                f"{where} is on image {shown(entry.get('image_id'))}, which is not "
                "listed under 'images'"
            )
        category = entry.get("category_id")
        if type(category) is not int or not 0 <= category <= LARGEST_VALUE:
            raise DataError(
                f"{where}: 'category_id' is {shown(category)}, expected a number"
            )
        mask = entry.get("segmentation")
        if not isinstance(mask, dict):
            raise DataError(
                f"{where}: 'segmentation' is {shown(mask)}, expected run lengths"
            )
        images[identity].masks.append((category, mask, where))
    return list(images.values())


def _image(entry: Any, where: str) -> tuple[str, DetailImage]:
    if not isinstance(entry, Mapping):
        raise DataError(f"{where} is {shown(entry)}, expected an object")
    identity = checked_id(entry.get("image_id"), f"{where}: 'image_id'")
    name = check_image_name(entry.get("file_name"), where)
    phase = entry.get("phase")
    if not isinstance(phase, str):
        raise DataError(f"{where}: 'phase' is {shown(phase)}, expected train or val")
    sides = [_side(entry.get(key)) for key in ("height", "width")]
    if not all(sides):
        told = [entry.get("height"), entry.get("width")]
        raise DataError(f"{where}: height and width are {shown(told)}, expected pixels")
    return identity, DetailImage(name, phase, (sides[0], sides[1]))


def _side(value: Any) -> int:
    """A side of an image in pixels; 0 for what is none."""
    good = is_number(value) and value == int(value) and 0 < value <= _LARGEST_SIDE
    return int(value) if good else 0
