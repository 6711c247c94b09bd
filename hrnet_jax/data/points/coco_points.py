"""Annotations with key points, out of COCO's files of one data set."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.data.files.coco_json import (
    Document,
    Id,
    ImageEntry,
    as_id,
    image_of,
    read_images,
)
from hrnet_jax.data.files.coco_layouts import AnnotationFiles
from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.points.coco_file import Category, read_category, read_keypoints
from hrnet_jax.data.points.marks import check_zeros, without_zeros
from hrnet_jax.errors import DataError

_V1 = {"hidden": 2, "seen": 1}  # meaning of v = 1 -> least v of a point in sight
_NO_POINTS = "annotations without key points"
_CROWDS = "annotations of crowds (iscrowd)"
_OUT = ", left out"


@dataclasses.dataclass(frozen=True)
class CocoPointsOptions(AnnotationFiles):
    """Options of every source that reads such files.

    Attributes:
        category: name or id of the category, where several have key points.
        flip_pairs: points that swap when mirrored, `left_eye:right_eye`; if
            empty those of `flip_pairs.txt`, of the category, or by the names; `none`
            for none.
        point_origin: coordinate of the first pixel's centre, of points and boxes.
        v1: what v = 1 says of a point: `hidden`, as COCO has it, or `seen`; asked where
            no point has v = 2.
        zeros: what points at 0, 0 with v > 0 are: `missing` or `points`; asked where
            there are some.
        min_points: annotations with fewer annotated points are not learnt from.
    """

    category: str = ""
    flip_pairs: tuple[str, ...] = ()
    point_origin: float = 0.0
    v1: str = ""
    zeros: str = ""
    min_points: int = 1


@dataclasses.dataclass(frozen=True)
class Marked:
    """An annotation.

    Attributes:
        image: where it is.
        points: float64 [K, 3], x, y and v.
        content: the annotation as it is in the file.
        where: file and annotation, for messages.
        left_out: why it is none with key points, where it is kept nevertheless.
    """

    image: ImageEntry
    points: np.ndarray
    content: Mapping[str, Any]
    where: str
    left_out: str = ""


class CocoPoints:
    """The annotations of files of one data set, whose points have the same names.

    Attributes:
        category: that of the first file.
    """

    def __init__(
        self,
        documents: Mapping[str, tuple[Path, Document]],
        options: CocoPointsOptions,
        findings: Findings,
        *,
        keep: bool = False,
    ) -> None:
        """Reads the categories.

        Args:
            documents: of each split the file and its content.
            options: how to read them.
            findings: takes what is left out or derived.
            keep: whether annotations of crowds and without points are kept.

        Raises:
            DataError: naming the file at fault.
        """
        if options.v1 not in ("", *_V1):
            raise DataError(f"option v1={options.v1}: expected one of {', '.join(_V1)}")
        check_zeros(options.zeros)
        self._options = options
        self._findings = findings
        self._keep = keep
        self._documents = documents
        self._categories = {
            path: read_category(path, document, options.category, findings)
            for path, document in documents.values()
        }
        (first, self.category), *rest = self._categories.items()
        for path, other in rest:
            if other.names != self.category.names:
                raise DataError(
                    f"{path} has {len(other.names)} key points {list(other.names)}, "
                    f"{first} has {len(self.category.names)}: "
                    f"{list(self.category.names)}"
                )

    def read(self) -> dict[str, list[Marked]]:
        """Split -> annotations with key points, in the order of the file.

        With `keep` also those of crowds and without points.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        return {
            split: self._marked(path, document)
            for split, (path, document) in self._documents.items()
        }

    def least_in_sight(self, marked: Mapping[str, list[Marked]]) -> int:
        """The least v of points that are in sight: 2, or 1 where 1 is `seen`.

        Raises:
            DataError: if all points had to be hidden, which the user has not said.
        """
        if self._options.v1:
            return _V1[self._options.v1]
        everything = [
            one for chosen in marked.values() for one in chosen if not one.left_out
        ]
        if any((one.points[:, 2] == 2).any() for one in everything):
            return _V1["hidden"]
        raise DataError(
            f"{everything[0].where}: v of all its points is 0 or 1, as in all of the "
            "files; say v1=seen (1 is a point in sight) or v1=hidden (1 is a hidden "
            "point, as COCO has it)"
        )

    def _marked(self, path: Path, document: Document) -> list[Marked]:
        """The annotations of one file that have key points; counts the others."""
        images = read_images(path, document, self._findings)
        chosen: list[Marked] = []
        seen: dict[str, list[Mapping[str, Any]]] = {}
        for number, annotation in enumerate(document["annotations"], start=1):
            identity = as_id(annotation.get("id"))
            where = f"{path}: annotation {identity or f'number {number}'}"
            reason = self._left_out(annotation, path, where)
            if identity in seen and (not reason or self._is_kept(reason)):
                if annotation in seen[identity]:
                    reason = "annotations that are there twice"
                else:
                    self._findings.count(path, "annotations with the id of another")
            if reason and not self._is_kept(reason):
                self._findings.count(path, reason + _OUT)
                continue
            if identity is not None:
                seen.setdefault(identity, []).append(annotation)
            one = self._one(annotation, reason, images, path, where)
            if one.left_out and not self._is_kept(one.left_out):
                self._findings.count(path, one.left_out + _OUT)
                continue
            chosen.append(one)
        with_points = [one for one in chosen if not one.left_out]
        if not self._keep:
            shown = {one.image.where for one in with_points}
            self._findings.count(
                path, "images without key points, left out", len(images) - len(shown)
            )
        if not with_points:
            raise DataError(f"{path} has no annotation with key points")
        return chosen

    def _is_kept(self, reason: str) -> bool:
        few = f"annotations with fewer than {self._options.min_points} key points"
        return self._keep and reason in (_CROWDS, _NO_POINTS, few)

    def _one(
        self,
        annotation: Mapping[str, Any],
        reason: str,
        images: Mapping[Id, ImageEntry],
        path: Path,
        where: str,
    ) -> Marked:
        category = self._categories[path]
        points = np.zeros((len(category.names), 3))
        # Of crowds and the like points may be anything, or absent.
        if not reason:
            points = read_keypoints(annotation["keypoints"], len(points), where)
        image = image_of(annotation, images, where)
        if not reason:
            points = self._settled(path, points, category, where)
            reason = self._too_few(points)
        told = annotation.get("num_keypoints")
        marked = int(np.count_nonzero(points[:, 2]))
        if not (self._keep or reason or told is None) and told != marked:
            self._findings.count(
                path, "num_keypoints that is not the number of points with v > 0"
            )
        return Marked(image, points, annotation, where, reason)

    def _left_out(self, annotation: Mapping[str, Any], path: Path, where: str) -> str:
        """Why an annotation is left out; empty for one that is not."""
        category = self._categories[path]
        has_points = annotation.get("keypoints") not in (None, [])
        if annotation.get("category_id") is None:
            if has_points and not category.only:
                raise DataError(
                    f"{where} has no 'category_id', and the file has several categories"
                )
            self._findings.count(
                path, f"annotations without category_id, taken for {category.name!r}"
            )
        elif as_id(annotation["category_id"]) != category.id:
            return "annotations of other categories"
        if annotation.get("iscrowd") in (1, "1", True):
            return _CROWDS
        return "" if has_points else _NO_POINTS

    def _too_few(self, points: np.ndarray) -> str:
        """Why an annotation with these points is left out; empty for one that is not."""
        marked, least = np.count_nonzero(points[:, 2]), self._options.min_points
        if not marked:
            return _NO_POINTS
        few = f"annotations with fewer than {least} key points"
        return few if marked < least else ""

    def _settled(
        self, path: Path, points: np.ndarray, category: Category, where: str
    ) -> np.ndarray:
        """The points, float64 [K, 3], without those at 0, 0 that are missing."""
        annotated = points[:, 2] > 0
        kept = without_zeros(
            points[:, :2], annotated, self._options.zeros, category.names, where
        )
        self._findings.count(
            path,
            "points at 0, 0, taken for not annotated",
            int(annotated.sum() - kept.sum()),
        )
        return np.where(kept[:, None], points, 0.0)
