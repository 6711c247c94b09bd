"""COCO: 80 classes of everyday objects with boxes and masks (Lin et al., ECCV 2014)."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.class_tables import COCO_THINGS
from hrnet_jax.data.files.coco_json import read_document
from hrnet_jax.data.objects.coco_file import read_categories, read_items, read_objects
from hrnet_jax.data.objects.items import ObjectItem, ObjectSplits
from hrnet_jax.data.objects.source import ObjectSource
from hrnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class COCODetectionOptions:
    """Options of the preparation.

    Attributes:
        year: of the division into splits, 2017 or 2014.
    """

    year: int = 2017


class COCODetection(ObjectSource):
    """COCO with boxes and masks, in its official layout.

    ```
    SOURCE/annotations/instances_train2017.json  instances_val2017.json
    SOURCE/annotations/image_info_test-dev2017.json
    SOURCE/train2017/  val2017/  test2017/
    ```

    Files that are not there are left out. `test` is test-dev, whose labels are on
    COCO's server.
    """

    Options: ClassVar[type] = COCODetectionOptions
    source_decides: ClassVar[bool] = False
    published: ClassVar[bool] = True

    def read(self) -> ObjectSplits:
        """The images of all files.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        names = tuple(COCO_THINGS.values())
        # Planned without files.
        if self.source is None:
            return ObjectSplits({}, names, tuple(COCO_THINGS))
        year = self.options.year
        files = {
            "train": f"instances_train{year}",
            "val": f"instances_val{year}",
            "test": f"image_info_test-dev{year}",
        }
        paths = {
            split: self.source / "annotations" / f"{name}.json"
            for split, name in files.items()
        }
        splits = {
            split: self._items(path, self.source / f"{split}{year}", split)
            for split, path in paths.items()
            if path.is_file()
        }
        if not splits:
            raise DataError(
                f"{self.source} has none of {', '.join(map(str, paths.values()))}"
            )
        return ObjectSplits(splits, names, tuple(COCO_THINGS))

    def _items(self, path: Path, folder: Path, split: str) -> list[ObjectItem]:
        required = ("images",) if split == "test" else ("images", "annotations")
        document = read_document(path, "COCO boxes", required)
        classes = {str(number): name for number, name in COCO_THINGS.items()}
        if split != "test" and read_categories(path, document) != classes:
            raise DataError(
                f"{path} does not have the 80 categories of COCO; for boxes of your own "
                "use --dataset=detection_coco"
            )
        objects = read_objects(path, document, classes, self.findings, published=True)
        return read_items(path, document, objects, [folder], self.findings)
