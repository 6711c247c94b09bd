"""COCO: 17 key points of persons (Lin et al., ECCV 2014)."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.files.coco_json import Document, read_document
from hrnet_jax.data.persons.coco_file import PersonReader
from hrnet_jax.data.persons.items import PersonItem, PersonSplits
from hrnet_jax.data.persons.source import PersonSource
from hrnet_jax.data.points.coco_points import CocoPoints, CocoPointsOptions
from hrnet_jax.data.points.person_sets import COCO17
from hrnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class COCOKeypointsOptions:
    """Options of the preparation.

    Attributes:
        year: of the division into splits, 2017 or 2014.
    """

    year: int = 2017


_PUBLISHED = CocoPointsOptions(category="person", v1="hidden", zeros="points")


class COCOKeypoints(PersonSource):
    """COCO with the key points of persons, in its official layout.

    ```
    SOURCE/annotations/person_keypoints_train2017.json  person_keypoints_val2017.json
    SOURCE/annotations/image_info_test-dev2017.json
    SOURCE/train2017/  val2017/  test2017/
    ```

    Files that are not there are left out. `test` is test-dev, whose labels are on
    COCO's server. Images without persons are stored as well: boxes that a detector
    found may be in any.
    """

    Options: ClassVar[type] = COCOKeypointsOptions
    source_decides: ClassVar[bool] = False
    published: ClassVar[bool] = True
    point_set = COCO17
    eval_splits: ClassVar[tuple[str, ...]] = ("val",)

    def read(self) -> PersonSplits:
        """The images of all files.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        # Planned without files.
        if self.source is None:
            return PersonSplits({})
        year = self.options.year
        files = {
            "train": f"person_keypoints_train{year}",
            "val": f"person_keypoints_val{year}",
            "test": f"image_info_test-dev{year}",
        }
        paths = {
            split: self.source / "annotations" / f"{name}.json"
            for split, name in files.items()
        }
        found = {split: path for split, path in paths.items() if path.is_file()}
        if not found.keys() & {"train", "val"}:
            raise DataError(
                f"{self.source} has none of {paths['train']}, {paths['val']}"
            )
        return PersonSplits(
            {split: self._items(path, split) for split, path in found.items()}
        )

    def _items(self, path: Path, split: str) -> list[PersonItem]:
        folder = self.source / f"{split}{self.options.year}"
        reader = PersonReader(path, self.findings, published=True)
        if split == "test":
            return reader.items(read_document(path, required=("images",)), [], [folder])
        document: Document = read_document(path)
        points = CocoPoints(
            {split: (path, document)}, _PUBLISHED, self.findings, keep=True
        )
        if points.category.names != COCO17.names:
            raise DataError(
                f"{path} has the key points {list(points.category.names)}, which are not "
                "the 17 of COCO; for key points of your own use "
                "--dataset=keypoints_coco"
            )
        return reader.items(document, points.read()[split], [folder])
