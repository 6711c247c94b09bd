"""Custom images with key points in COCO's JSON format."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.files.coco_json import Document, read_bbox, read_document
from hrnet_jax.data.files.coco_layouts import annotation_files
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.points.coco_points import CocoPoints, CocoPointsOptions, Marked
from hrnet_jax.data.points.custom import own_point_set
from hrnet_jax.data.points.items import (
    BOX_UNIT,
    LandmarkItem,
    box_from_corners,
    name_faces,
)
from hrnet_jax.data.points.marks import box_around_marked
from hrnet_jax.data.points.source import LandmarkSource, SplitItems, image_folder
from hrnet_jax.data.points.splits import check_apart, cut_by_image


@dataclasses.dataclass(frozen=True)
class LandmarksCOCOOptions(CocoPointsOptions):
    """Options of the preparation.

    Attributes:
        images: folder of the images, with `{split}` for the split; `images`, the
            source folder itself and that of the annotation file, if empty.
        min_points: annotations with fewer annotated points are left out.
        normalizer: points whose distance divides the errors,
            `left_eye:right_eye`; the box if empty.
    """

    normalizer: str = ""


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
        self.point_origin = options.point_origin
        self._documents = self._read_documents()
        self._found = CocoPoints(self._documents, options, self.findings)
        category = self._found.category
        self.point_set = own_point_set(
            category.names,
            source,
            options.flip_pairs,
            options.normalizer,
            category.skeleton,
            pairs=category.flip_pairs,
        )

    def read(self) -> SplitItems:
        """The annotations with key points, in the order of the files.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        marked = self._found.read()
        least = self._found.least_in_sight(marked)
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
        files = annotation_files(self.source, self.options)
        return {split: (path, read_document(path)) for split, path in files.items()}

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
