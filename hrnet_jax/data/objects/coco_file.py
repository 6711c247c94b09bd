"""COCO's JSON files with boxes and masks, as labelling tools write them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hrnet_jax.data.files.coco_json import (
    Document,
    Id,
    as_id,
    checked_category,
    checked_id,
    image_of,
    is_number,
    is_pixels,
    read_bbox,
    read_images,
    shown,
)
from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.objects.items import ImageObject, ObjectItem
from hrnet_jax.data.objects.masks import read_segmentation
from hrnet_jax.data.points.items import name_faces
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST

# Most that a record holds.
_LARGEST_ID = 2**31 - 1


def read_categories(path: Path, document: Document) -> dict[Id, str]:
    """Id -> name of the categories, by their numbers.

    Raises:
        DataError: for one without a name, or two of one id or name.
    """
    names: dict[Id, str] = {}
    for entry in document["categories"]:
        identity = checked_id(checked_category(path, entry)["id"], f"{path}: 'id'")
        name = entry.get("name")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise DataError(
                f"{path}: category {identity} is called {shown(name)}, expected a name"
            )
        name = name.strip()
        if names.get(identity, name) != name:
            raise DataError(
                f"{path}: categories {names[identity]!r} and {name!r} both have the id "
                f"{identity}; expected an id of its own for each"
            )
        twice = [other for other, known in names.items() if known == name]
        if twice and twice[0] != identity:
            raise DataError(
                f"{path}: category {name!r} has the ids {twice[0]} and {identity}; "
                "expected one"
            )
        names[identity] = name
    if not names:
        raise DataError(f"{path} has no categories; expected the classes of its boxes")
    order = sorted(names, key=lambda one: (not one.isdigit(), len(one), one))
    return {identity: names[identity] for identity in order}


def numbers_of(categories: Mapping[Id, str]) -> tuple[int, ...]:
    """Ids as numbers; 1, 2, ... where some are none."""
    if all(one.isdigit() and int(one) <= _LARGEST_ID for one in categories):
        return tuple(int(one) for one in categories)
    return tuple(range(1, len(categories) + 1))


def read_objects(
    path: Path,
    document: Document,
    categories: Mapping[Id, str],
    findings: Findings,
    *,
    published: bool = False,
) -> dict[Id, list[ImageObject]]:
    """The annotations of each image, by its id; all images are there.

    Args:
        path: the file, for messages.
        document: its content.
        categories: id -> name.
        findings: takes what is left out or derived.
        published: whether ids and boxes are taken as they are.

    Raises:
        DataError: naming the annotation at fault.
    """
    images = read_images(path, document, findings)
    found: dict[Id, list[ImageObject]] = {identity: [] for identity in images}
    seen: dict[Id, Mapping[str, Any]] = {}
    for number, annotation in enumerate(document["annotations"], start=1):
        identity = as_id(annotation.get("id"))
        where = f"{path}: annotation {identity or f'number {number}'}"
        if identity is not None and not published:
            if seen.get(identity) == annotation:
                findings.count(path, "annotations that are there twice, left out")
                continue
            if identity in seen:
                raise DataError(
                    f"{where} has the id of another annotation; expected an id of its "
                    "own for each"
                )
            seen[identity] = annotation
        image_of(annotation, images, where)
        one = _object(annotation, categories, where)
        found[str(as_id(annotation["image_id"]))].append(one)
    objects = [one for each in found.values() for one in each]
    without = sum(one.mask is None for one in objects)
    if without < len(objects):
        findings.count(path, "objects without a mask, beside some with", without)
    return found


def read_items(
    path: Path,
    document: Document,
    objects: Mapping[Id, Sequence[ImageObject]],
    folders: Sequence[Path],
    findings: Findings,
) -> list[ObjectItem]:
    """The images of a file with their objects, in the order of the file.

    Args:
        path: the file.
        document: its content.
        objects: of each image, by its id.
        folders: where to look for images, best first.
        findings: takes what is derived.

    Raises:
        DataError: naming the entry at fault.
    """
    images = read_images(path, document, Findings())
    finder = ImageFinder(folders, path, findings)
    files = {key: finder.find(entry.name, entry.where) for key, entry in images.items()}
    names = name_faces([name for _, name in files.values()])
    return [
        ObjectItem(
            image=files[key][0],
            image_id=name,
            number=_as_json(entry.id, key),
            objects=tuple(objects[key]),
            where=entry.where,
            size=entry.size,
        )
        for (key, entry), name in zip(images.items(), names, strict=True)
    ]


def _as_json(value: Any, key: Id) -> str:
    """An id as JSON: a whole number where it is one."""
    if isinstance(value, str) or not key.lstrip("-").isdigit():
        return json.dumps(value)
    return key


def _object(
    annotation: Mapping[str, Any], categories: Mapping[Id, str], where: str
) -> ImageObject:
    if "segments_info" in annotation:
        raise DataError(
            f"{where} has 'segments_info': the file is panoptic; prepare it as "
            "segmentation_panoptic"
        )
    told = annotation.get("category_id")
    name = categories.get(str(as_id(told)))
    if name is None and told is None and len(categories) == 1:
        name = next(iter(categories.values()))
    if name is None:
        raise DataError(
            f"{where} is of category {shown(told)}, which is not listed under "
            "'categories'"
        )
    mask = read_segmentation(annotation.get("segmentation"), where)
    values = annotation.get("bbox")
    box = read_bbox(values, where)
    if box is None:
        corners = _around(mask) if values in (None, []) else None
        if corners is None and values in (None, []):
            raise DataError(f"{where} has neither 'bbox' nor polygons")
        corners = corners or (0.0, 0.0, 0.0, 0.0)
    else:
        x, y, width, height = map(float, box)
        corners = (x, y, x + width, y + height)
    return ImageObject(
        box=corners,
        name=name,
        where=where,
        crowd=annotation.get("iscrowd") in (1, "1", True),
        area=_area(annotation.get("area")),
        mask=mask,
    )


def _area(told: Any) -> float | None:
    """Pixels, where the file tells some."""
    good = is_number(told) and 0 < told <= FARTHEST**2
    return float(told) if good else None


def _around(mask: Any) -> tuple[float, float, float, float] | None:
    """The box around polygons of finite numbers; None for anything else."""
    if not isinstance(mask, list):
        return None
    if not all(isinstance(one, list) and all(map(is_pixels, one)) for one in mask):
        return None
    x = [value for one in mask for value in one[0::2]]
    y = [value for one in mask for value in one[1::2]]
    if not x or not y:
        return None
    return float(min(x)), float(min(y)), float(max(x)), float(max(y))
