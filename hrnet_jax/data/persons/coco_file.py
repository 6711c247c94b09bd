"""Images with persons, out of the annotations of COCO's files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.data.files.coco_json import (
    Document,
    Id,
    ImageEntry,
    as_id,
    as_whole,
    is_number,
    read_bbox,
    read_images,
    shown,
)
from hrnet_jax.data.files.file_names import is_file
from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.objects.checks import upright_size
from hrnet_jax.data.persons.items import (
    Box,
    Person,
    PersonItem,
    area_of,
    box_from_points,
    in_sides,
)
from hrnet_jax.data.points.coco_points import Marked
from hrnet_jax.data.points.items import name_faces
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST

# What `num_keypoints` may be: as the files have it, or counted where it is wrong.
COUNTS = ("", "derive")


class PersonReader:
    """Makes images with persons of the annotations of one file.

    Args:
        path: the file.
        findings: takes what is derived.
        least: v of points that are in sight.
        counts: of `COUNTS`.
        origin: coordinate of the first pixel's centre.
        published: whether boxes without an inside are left out, as the published code
            does, instead of refused.
    """

    def __init__(
        self,
        path: Path,
        findings: Findings,
        *,
        least: int = 2,
        counts: str = "",
        origin: float = 0.0,
        published: bool = False,
    ) -> None:
        self._path = path
        self._findings = findings
        self._least = least
        self._counts = counts
        self._origin = origin
        self._published = published

    def items(
        self, document: Document, marked: Sequence[Marked], folders: Sequence[Path]
    ) -> list[PersonItem]:
        """All images of the file, in its order.

        Args:
            document: content of the file.
            marked: its annotations; those that are left out are persons that count
                nowhere.
            folders: where to look for images, best first.

        Raises:
            DataError: naming the entry or annotation at fault.
        """
        images = read_images(self._path, document, Findings())
        finder = ImageFinder(folders, self._path, self._findings)
        files = {key: finder.find(one.name, one.where) for key, one in images.items()}
        names = name_faces([name for _, name in files.values()])
        numbers = self._numbers(images)
        on: dict[str, list[Marked]] = {}
        for one in marked:
            on.setdefault(one.image.where, []).append(one)
        items = []
        for (key, entry), name in zip(images.items(), names, strict=True):
            file = files[key][0]
            size = entry.size
            # Boxes end with their image; those without are not looked at.
            if size is None and on.get(entry.where) and is_file(file):
                size = upright_size(file)
            persons = [self._person(one, size) for one in on.get(entry.where, ())]
            items.append(
                PersonItem(
                    image=file,
                    image_id=name,
                    number=numbers[key],
                    persons=tuple(persons),
                    where=entry.where,
                    size=size,
                )
            )
        return items

    def _numbers(self, images: Mapping[Id, ImageEntry]) -> dict[Id, int]:
        """Ids as numbers; 1, 2, ... where some are none."""
        numbers = {key: as_whole(key) for key in images}
        known = {key: number for key, number in numbers.items() if number is not None}
        if len(set(known.values())) == len(images):
            return known
        self._findings.count(
            self._path, "images numbered in their order, as ids are no numbers", 1
        )
        return {key: number for number, key in enumerate(images, start=1)}

    def _person(self, one: Marked, size: tuple[float, float] | None) -> Person:
        annotated = one.points[:, 2] > 0
        told = read_bbox(one.content.get("bbox"), one.where)
        crowd = one.content.get("iscrowd") in (1, "1", True)
        if not one.left_out:
            self._check_count(one, int(annotated.sum()))
        box: Box = (0.0, 0.0, 0.0, 0.0)
        area: Any = one.content.get("area")
        known = is_number(area) and 0 < area <= FARTHEST**2
        if told is not None:
            box, whole = self._clipped(told, size, one.where), told
        elif annotated.any():
            self._findings.count(
                self._path, "boxes around the points, as there is no bbox"
            )
            box = box_from_points(one.points[:, :2], annotated)
            whole = in_sides(box)
        else:
            whole = (0.0, 0.0, 0.0, 0.0)
        taught = not one.left_out
        if taught and area_of(box) <= 0:
            self._refuse_empty(box, one)
            taught = False
        # COCO's area is the mask's; none or 0 was never trained on.
        if taught and not known:
            taught = not self._published
            self._findings.count(self._path, self._without_area)
        bbox = tuple(map(float, whole))
        return Person(
            points=one.points[:, :2].copy(),
            visible=(one.points[:, 2] >= self._least).astype(np.uint8),
            annotated=annotated.astype(np.uint8),
            box=box,
            bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
            area=float(area) if known else max(0.0, bbox[2] * bbox[3]),
            where=one.where,
            number=as_whole(as_id(one.content.get("id"))) or 0,
            crowd=crowd,
            taught=taught,
        )

    @property
    def _without_area(self) -> str:
        if self._published:
            return "persons without an area, left out"
        return "areas of the boxes, as the annotation has none"

    def _check_count(self, one: Marked, count: int) -> None:
        """Checks what an annotation says of the number of its points.

        Raises:
            DataError: for none, or another number.
        """
        told = one.content.get("num_keypoints")
        if told == count and is_number(told):
            return
        instead = "" if self._published else ", or say num_keypoints=derive"
        if self._counts == "derive":
            self._findings.count(self._path, "num_keypoints, counted as v > 0")
        elif told is None:
            raise DataError(
                f"{one.where} has 'keypoints' but no 'num_keypoints'; expected the "
                f"number of points with v > 0 ({count}){instead}"
            )
        else:
            raise DataError(
                f"{one.where}: 'num_keypoints' is {shown(told)}, but {count} points have "
                f"v > 0; expected their number{instead}"
            )

    def _clipped(
        self, told: Sequence[float], size: tuple[float, float] | None, where: str
    ) -> Box:
        """From the centre of the first pixel of a box to that of its last in the image.

        Source: deep-high-resolution-net.pytorch, `lib/dataset/coco.py`,
        `_load_coco_keypoint_annotation_kernal`.
        """
        x, y, width, height = map(float, told)
        first = self._origin
        low_x, low_y = max(first, x), max(first, y)
        high_x, high_y = low_x + max(0.0, width - 1), low_y + max(0.0, height - 1)
        if size is not None:
            high_x, high_y = (
                min(size[1] - 1 + first, high_x),
                min(size[0] - 1 + first, high_y),
            )
        return low_x, low_y, high_x, high_y

    def _refuse_empty(self, box: Box, one: Marked) -> None:
        """Refuses, or counts, a person whose box has no inside."""
        if self._published:
            self._findings.count(
                self._path, "persons whose box has no inside, left out"
            )
            return
        x1, y1, x2, y2 = box
        raise DataError(
            f"{one.where}: the box of the person, {shown(one.content.get('bbox'))}, has "
            f"size {max(0.0, x2 - x1):g} x {max(0.0, y2 - y1):g} in its image; expected "
            "[x, y, width, height] in pixels with something inside"
        )
