"""COCO's JSON files, as labelling tools write them: lists, ids, images, boxes."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.files.text_files import read_json
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST

Document = Mapping[str, Any]
_WHOLE = re.compile(r"-?[0-9]{1,19}")

# As numbers and text, for tools that write one for the other.
Id = str


@dataclasses.dataclass(frozen=True)
class ImageEntry:
    """An entry of 'images'.

    Attributes:
        id: as it is in the file.
        name: the file, as it is named.
        size: (height, width) in pixels, if the entry tells both.
        where: file and id, for messages.
    """

    id: Any
    name: Any
    size: tuple[float, float] | None
    where: str


def read_document(
    path: Path,
    what: str = "COCO key points",
    required: Sequence[str] = ("images", "annotations"),
) -> Document:
    """A JSON file with the lists of COCO; those that are not required may be absent.

    Args:
        path: the file.
        what: kind of file, for the message.
        required: lists that have to be there.

    Raises:
        DataError: if it is missing, no JSON, or lacks a list of objects.
    """
    document = read_json(path)
    for key in ("images", "annotations", "categories"):
        if isinstance(document, dict) and key not in required:
            document.setdefault(key, [])
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(
                f"{path} has no list {key!r}; {what} have images, annotations "
                "and categories"
            )
        for number, entry in enumerate(document[key], start=1):
            if not isinstance(entry, dict):
                raise DataError(
                    f"{path}: entry {number} of {key!r} is {shown(entry)}, expected an "
                    "object"
                )
    return document


def read_images(
    path: Path, document: Document, findings: Findings
) -> dict[Id, ImageEntry]:
    """The entries of 'images' by id.

    Raises:
        DataError: for an entry without id or name, or two different ones of one id.
    """
    files: dict[Id, ImageEntry] = {}
    for number, entry in enumerate(document["images"], start=1):
        where = f"{path}: entry {number} of 'images'"
        for key in ("id", "file_name"):
            if entry.get(key) is None:
                raise DataError(f"{where} has no {key!r}")
        identity = checked_id(entry["id"], f"{where}: 'id'")
        told = files.get(identity)
        if told is not None:
            if told.name != entry["file_name"]:
                raise DataError(
                    f"{where} has the id {identity} of {told.name!r} too; expected an "
                    "id of its own"
                )
            findings.count(path, "entries of 'images' that are there twice, left out")
            continue
        size = entry.get("height"), entry.get("width")
        known = all(is_pixels(side) and side > 0 for side in size)
        files[identity] = ImageEntry(
            entry["id"],
            entry["file_name"],
            (size[0], size[1]) if known else None,
            where,
        )
    return files


def read_bbox(values: Any, where: str) -> Sequence[float] | None:
    """(x, y, width, height) of an annotation; None where it is missing or all 0.

    Raises:
        DataError: for anything but four numbers.
    """
    if values is None or values == []:
        return None
    if (
        not isinstance(values, list)
        or len(values) != 4
        or not all(map(is_pixels, values))
    ):
        raise DataError(
            f"{where}: bbox is {shown(values)}, expected [x, y, width, height] in pixels"
        )
    return values if any(values) else None


def checked_category(path: Path, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    if entry.get("id") is None:
        raise DataError(f"{path}: the category {shown(entry.get('name'))} has no 'id'")
    checked_id(entry["id"], f"{path}: 'id' of the category {shown(entry.get('name'))}")
    return entry


def image_of(
    annotation: Mapping[str, Any], images: Mapping[Id, ImageEntry], where: str
) -> ImageEntry:
    """The entry of the image that an annotation is on.

    Raises:
        DataError: if it names none that is listed.
    """
    if annotation.get("image_id") is None:
        raise DataError(f"{where} has no 'image_id'")
    identity = as_id(annotation["image_id"])
    if identity is None or identity not in images:
        raise DataError(
            f"{where} is on image {shown(annotation['image_id'])}, which is not listed "
            "under 'images'"
        )
    return images[identity]


def is_pixels(value: Any) -> bool:
    """Whether a JSON value is a number that can count pixels."""
    return is_number(value) and abs(value) <= FARTHEST


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number, `true` and `false` being none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def as_id(value: Any) -> Id | None:
    """An id, as text: `7`, `7.0` and `"7"` are the same; None for what is none."""
    if isinstance(value, str):
        return value.strip() or None
    if not is_number(value):
        return None
    try:
        return str(int(value)) if value == int(value) else str(value)
    except ValueError:  # More digits than Python writes.
        return None


def checked_id(value: Any, what: str) -> Id:
    """An id, as text.

    Raises:
        DataError: naming what is neither number nor text.
    """
    identity = as_id(value)
    if identity is None:
        raise DataError(f"{what} is {shown(value)}, expected a number or a text")
    return identity


def shown(value: Any) -> str:
    """A value for a message, not longer than a line."""
    try:
        text = repr(value)
    except ValueError:  # An integer with more digits than Python writes.
        text = "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


def as_whole(identity: Id | None) -> int | None:
    """An id as a number of 64 bits; None for one that is none."""
    if identity is None or not _WHOLE.fullmatch(identity):
        return None
    number = int(identity)
    return number if abs(number) < 2**63 else None
