"""Custom images with key points in COCO's JSON format."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hrnet_jax.data.files.coco_json import (
    Document,
    ImageEntry,
    as_id,
    image_of,
    read_bbox,
    read_document,
    read_images,
)
from hrnet_jax.data.files.coco_layouts import annotation_files
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.points.coco_file import (
    Category,
    read_category,
    read_keypoints,
)
from hrnet_jax.data.points.custom import own_point_set
from hrnet_jax.data.points.items import (
    BOX_UNIT,
    LandmarkItem,
    box_from_corners,
    name_faces,
)
from hrnet_jax.data.points.marks import box_around_marked, check_zeros, without_zeros
from hrnet_jax.data.points.source import LandmarkSource, SplitItems, image_folder
from hrnet_jax.data.points.splits import check_apart, cut_by_image
from hrnet_jax.errors import DataError

_V1 = {"hidden": 2, "seen": 1}  # meaning of v = 1 -> least v of a point in sight
_NO_POINTS = "annotations without key points, left out"


@dataclasses.dataclass(frozen=True)
class LandmarksCOCOOptions:
    """Options of the preparation.

    Attributes:
        train: annotation file of the training split in the source folder.
        val: that of the validation split, left out if absent.
        test: that of the test split, left out if absent.
        annotations: one file for all, cut by ratios, instead of those three.
        ratios: shares of train, val and test for `annotations`.
        seed: seed of that random split.
        images: folder of the images, with `{split}` for the split; `images`, the
            source folder itself and that of the annotation file, if empty.
        category: name or id of the category, where several have key points.
        flip_pairs: points that swap when mirrored, `left_eye:right_eye`; if
            empty those of `flip_pairs.txt`, else by the names; `none` for none.
        normalizer: points whose distance divides the errors,
            `left_eye:right_eye`; the box if empty.
        point_origin: coordinate of the first pixel's centre, of points and boxes.
        v1: what v = 1 says of a point: `hidden`, as COCO has it, or `seen`; asked where
            no point has v = 2.
        zeros: what points at 0, 0 with v > 0 are: `missing` or `points`; asked where
            there are some.
        min_points: annotations with fewer annotated points are left out.
    """

    train: str = "annotations/train.json"
    val: str = "annotations/val.json"
    test: str = "annotations/test.json"
    annotations: str = ""
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    images: str = ""
    category: str = ""
    flip_pairs: tuple[str, ...] = ()
    normalizer: str = ""
    point_origin: float = 0.0
    v1: str = ""
    zeros: str = ""
    min_points: int = 1


@dataclasses.dataclass(frozen=True)
class Marked:
    """An annotation with key points.

    Attributes:
        image: where it is.
        points: float64 [K, 3], x, y and v.
        content: the annotation as it is in the file.
        where: file and annotation, for messages.
    """

    image: ImageEntry
    points: np.ndarray
    content: Mapping[str, Any]
    where: str


class LandmarksCOCO(LandmarkSource):
    """Own images with key points in COCO's JSON format.

    ```
    SOURCE/annotations/train.json  val.json  test.json
    SOURCE/images/ ...
    ```

    or, as Roboflow has it, `train/`, `valid/` and `test/` with images and
    `_annotations.coco.json`. Each annotation with key points is one record; its box is
    the square around `bbox`. Key points with v = 0 count as not annotated, v = 1 as
    hidden.
    """

    Options: ClassVar[type] = LandmarksCOCOOptions
    source_decides: ClassVar[bool] = True

    def __init__(self, source: Path, options: LandmarksCOCOOptions) -> None:
        super().__init__(source, options)
        if options.v1 not in ("", *_V1):
            raise DataError(f"option v1={options.v1}: expected one of {', '.join(_V1)}")
        check_zeros(options.zeros)
        self.point_origin = options.point_origin
        self._documents = self._read_documents()
        found = {
            path: read_category(path, document, options.category, self.findings)
            for path, document in self._documents.values()
        }
        (first, category), *rest = found.items()
        for path, other in rest:
            if other.names != category.names:
                raise DataError(
                    f"{path} has {len(other.names)} key points {list(other.names)}, "
                    f"{first} has {len(category.names)}: {list(category.names)}"
                )
        self._categories = found
        self.point_set = own_point_set(
            category.names,
            source,
            options.flip_pairs,
            options.normalizer,
            category.skeleton,
        )

    def read(self) -> SplitItems:
        """The annotations with key points, in the order of the files.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        marked = {
            split: self._marked(path, document)
            for split, (path, document) in self._documents.items()
        }
        least = self._least_in_sight(marked)
        faces = {
            split: self._faces(split, self._documents[split][0], chosen, least)
            for split, chosen in marked.items()
        }
        self.tight_boxes = not any(
            read_bbox(one.content.get("bbox"), one.where)
            for chosen in marked.values()
            for one in chosen
        )
        if self.options.annotations:
            options = self.options
            cut = cut_by_image(faces[""], self.source, options.ratios, options.seed)
            return SplitItems(cut)
        check_apart(faces)
        return SplitItems(faces)

    def _read_documents(self) -> dict[str, tuple[Path, Document]]:
        files = annotation_files(self.source, self.options, LandmarksCOCOOptions())
        return {split: (path, read_document(path)) for split, path in files.items()}

    def _marked(self, path: Path, document: Document) -> list[Marked]:
        """The annotations of one file that have key points; counts the others."""
        images = read_images(path, document, self.findings)
        category = self._categories[path]
        chosen: list[Marked] = []
        seen: dict[str, list[Mapping[str, Any]]] = {}
        for number, annotation in enumerate(document["annotations"], start=1):
            identity = as_id(annotation.get("id"))
            where = f"{path}: annotation {identity or f'number {number}'}"
            reason = self._left_out(annotation, category, path, where)
            if identity in seen and not reason:
                if annotation in seen[identity]:
                    reason = "annotations that are there twice, left out"
                else:
                    self.findings.count(path, "annotations with the id of another")
            if reason:
                self.findings.count(path, reason)
                continue
            if identity is not None:
                seen.setdefault(identity, []).append(annotation)
            points = read_keypoints(annotation["keypoints"], len(category.names), where)
            image = image_of(annotation, images, where)
            points = self._settled(path, points, category, where)
            reason = self._too_few(points)
            if reason:
                self.findings.count(path, reason)
                continue
            told = annotation.get("num_keypoints")
            if told is not None and told != int(np.count_nonzero(points[:, 2])):
                self.findings.count(
                    path, "num_keypoints that is not the number of points with v > 0"
                )
            chosen.append(Marked(image, points, annotation, where))
        with_points = {one.image.where for one in chosen}
        self.findings.count(
            path, "images without key points, left out", len(images) - len(with_points)
        )
        if not chosen:
            raise DataError(f"{path} has no annotation with key points")
        return chosen

    def _left_out(
        self, annotation: Mapping[str, Any], category: Category, path: Path, where: str
    ) -> str:
        """Why an annotation is left out; empty for one that is not."""
        has_points = annotation.get("keypoints") not in (None, [])
        if annotation.get("category_id") is None:
            if has_points and not category.only:
                raise DataError(
                    f"{where} has no 'category_id', and the file has several categories"
                )
            self.findings.count(
                path, f"annotations without category_id, taken for {category.name!r}"
            )
        elif as_id(annotation["category_id"]) != category.id:
            return "annotations of other categories, left out"
        if annotation.get("iscrowd") in (1, "1"):
            return "annotations of crowds (iscrowd), left out"
        return "" if has_points else _NO_POINTS

    def _too_few(self, points: np.ndarray) -> str:
        """Why an annotation with these points is left out; empty for one that is not."""
        marked, least = np.count_nonzero(points[:, 2]), self.options.min_points
        if not marked:
            return _NO_POINTS
        few = f"annotations with fewer than {least} key points, left out"
        return few if marked < least else ""

    def _settled(
        self, path: Path, points: np.ndarray, category: Category, where: str
    ) -> np.ndarray:
        """The points, float64 [K, 3], without those at 0, 0 that are missing."""
        annotated = points[:, 2] > 0
        kept = without_zeros(
            points[:, :2], annotated, self.options.zeros, category.names, where
        )
        self.findings.count(
            path,
            "points at 0, 0, taken for not annotated",
            int(annotated.sum() - kept.sum()),
        )
        return np.where(kept[:, None], points, 0.0)

    def _least_in_sight(self, marked: Mapping[str, list[Marked]]) -> int:
        """The least v of points that are in sight: 2, or 1 where 1 is `seen`.

        Raises:
            DataError: if all points had to be hidden, which the user has not said.
        """
        if self.options.v1:
            return _V1[self.options.v1]
        everything = [one for chosen in marked.values() for one in chosen]
        if any((one.points[:, 2] == 2).any() for one in everything):
            return _V1["hidden"]
        raise DataError(
            f"{everything[0].where}: v of all its points is 0 or 1, as in all of "
            f"{self.source}; say v1=seen (1 is a point in sight) or v1=hidden (1 is a "
            "hidden point, as COCO has it)"
        )

    def _faces(
        self, split: str, path: Path, chosen: list[Marked], least: int
    ) -> list[LandmarkItem]:
        option = self.options.images.replace("{split}", split)
        folders = [image_folder(self.source, option, ("images",))]
        if not option:
            folders += [path.parent, self.source]
        finder = ImageFinder(folders, path, self.findings)
        found = [finder.find(one.image.name, one.image.where) for one in chosen]
        names = name_faces([name for _, name in found])
        return [
            self._face(path, one, file, name, least)
            for one, (file, _), name in zip(chosen, found, names, strict=True)
        ]

    def _face(
        self, path: Path, one: Marked, file: Path, name: str, least: int
    ) -> LandmarkItem:
        annotated = one.points[:, 2] > 0
        corners = read_bbox(one.content.get("bbox"), one.where)
        if corners is None:
            self.findings.count(path, "boxes around the points, as there is no bbox")
            box = box_around_marked(one.points[annotated, :2], one.where, "'bbox'")
        else:
            x, y, width, height = corners
            box = box_from_corners((x, y, x + width, y + height), one.where)
        return LandmarkItem(
            image=file,
            image_id=name,
            points=one.points[:, :2].copy(),
            visible=(one.points[:, 2] >= least).astype(np.uint8),
            annotated=annotated.astype(np.uint8),
            box=box,
            box_size=box.scale * BOX_UNIT,
            where=one.where,
            image_size=one.image.size,
        )
