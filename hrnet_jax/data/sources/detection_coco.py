"""Custom images with boxes and masks in COCO's JSON format."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.files.coco_json import Document, Id, read_document
from hrnet_jax.data.files.coco_layouts import (
    ROBOFLOW,
    AnnotationFiles,
    annotation_files,
)
from hrnet_jax.data.files.splitting import SPLITS
from hrnet_jax.data.objects.checks import check_boxes
from hrnet_jax.data.objects.coco_file import (
    numbers_of,
    read_categories,
    read_items,
    read_objects,
)
from hrnet_jax.data.objects.items import ObjectSplits
from hrnet_jax.data.objects.source import ObjectOptions, ObjectSource, cut_images
from hrnet_jax.data.points.source import folders_of_tools
from hrnet_jax.errors import DataError

# Of other tools than ours, the first of which is there: converters of VOC and COCO
# itself, Roboflow, CVAT, Label Studio.
_LAYOUTS = (
    {split: f"annotations/instances_{split}.json" for split in SPLITS},
    {split: f"annotations/instances_{split}2017.json" for split in SPLITS},
    ROBOFLOW,
    {
        split: f"annotations/instances_{name}.json"
        for split, name in zip(SPLITS, ("Train", "Validation", "Test"), strict=True)
    },
    {"": "annotations/instances_default.json"},
    {"": "result.json"},
    {"": "annotations.json"},
)


@dataclasses.dataclass(frozen=True)
class DetectionCOCOOptions(ObjectOptions, AnnotationFiles):
    """Options of the preparation.

    Attributes:
        images: folder of the images, with `{split}` for the split; `images`, the
            source folder itself and that of the annotation file, if empty.
    """


class DetectionCOCO(ObjectSource):
    """Own images with boxes, and masks, in COCO's JSON format.

    ```
    SOURCE/annotations/train.json  val.json  test.json
    SOURCE/images/ ...
    ```

    or as CVAT, Label Studio and Roboflow export it. Classes are told by their names, so
    ids may differ between the files.
    """

    Options: ClassVar[type] = DetectionCOCOOptions

    def read(self) -> ObjectSplits:
        """The images of all files.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        options = self.options
        files = annotation_files(self.source, options, _LAYOUTS)
        documents = {
            split: (path, read_document(path, "COCO boxes"))
            for split, path in files.items()
        }
        classes = {path: read_categories(path, doc) for path, doc in documents.values()}
        first, known = next(iter(classes.items()))
        for path, others in classes.items():
            if set(others.values()) != set(known.values()):
                odd = sorted(set(others.values()) ^ set(known.values()))
                raise DataError(
                    f"{path} and {first} differ in the category {odd[0]!r}; expected "
                    "the same categories"
                )
        splits = {
            split: self._items(split, path, document, classes[path])
            for split, (path, document) in documents.items()
        }
        if "" in splits:
            splits = cut_images(splits[""], options.ratios, options.seed)
        return ObjectSplits(splits, tuple(known.values()), numbers_of(known))

    def _items(
        self, split: str, path: Path, document: Document, classes: dict[Id, str]
    ) -> list:
        folders = folders_of_tools(self.source, self.options.images, split, path)
        objects = read_objects(path, document, classes, self.findings)
        items = read_items(path, document, objects, folders, self.findings)
        check_boxes(items, str(path))
        return items
