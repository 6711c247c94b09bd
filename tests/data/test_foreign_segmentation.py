"""Files of segmentation sets, whatever is wrong with them."""

import json

import numpy as np
import pytest

from tests.damage import documents, tables
from tests.damaging import damaged_bytes
from tests.data import drawn_files
from tests.data.segmentation_sets import (
    labels_of,
    make_context,
    make_lip,
    make_merged,
    make_stuff_10k,
    merged_document,
    opened,
)
from tests.data.test_published_segmentation import context_ids, names_of_459
from tests.foreign import only_our_errors

COUNTS = [40, pytest.param(1_000, marks=pytest.mark.slow)]

VALUES = np.array([[0, 2, 2], [458, 458, 9]], np.uint16)
LABEL_MAP = "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:128,64,128::\n"


def cvat_masks(folder):
    """The export "Segmentation mask" of one image."""
    make_context(folder, np.zeros((2, 3), np.uint8))
    (folder / "SegmentationClassContext").rename(folder / "SegmentationClass")
    lists = folder / "ImageSets/SegmentationContext/train.txt"
    lists.parent.rename(folder / "ImageSets/Segmentation")
    return folder / "labelmap.txt", "segmentation_folder", tables([LABEL_MAP])


def merged(folder):
    make_merged(folder, VALUES)
    path = folder / "trainval_merged.json"
    return path, "pascal_context_60", documents([merged_document(VALUES)])


def names_of_classes(folder):
    make_context(folder, context_ids(), suffix=".mat")
    lines = names_of_459(opened("pascal_context_59", folder).classes)
    return folder / "labels.txt", "pascal_context_59", tables(["\n".join(lines)])


def label_map(folder):
    make_stuff_10k(folder, np.ones((2, 3), np.uint8))
    (path,) = folder.rglob("*.mat")
    return path, "coco_stuff_10k", damaged_bytes(path.read_bytes())


def id_list(folder):
    for name in "ab":
        make_lip(folder, np.zeros((2, 3), np.uint8), name=name)
    return folder / "train_id.txt", "lip", tables(["a\nb\n"])


def labelme(folder):
    drawn_files.make_labelme(folder)
    document = drawn_files.labelme_document()
    circle = {"label": "car", "points": [[4, 3], [4, 5]], "shape_type": "circle"}
    document["shapes"].append(circle)
    return folder / "train/a.json", "segmentation_labelme", documents([document])


def cvat(folder):
    drawn_files.make_cvat(folder)
    ellipse = '<ellipse label="car" cx="4" cy="3" rx="2" ry="3" rotation="9"/><tag'
    text = drawn_files.CVAT.replace("<tag", ellipse).encode()
    return folder / "annotations.xml", "segmentation_cvat", damaged_bytes(text)


def instances(folder):
    drawn_files.make_coco(folder)
    document = json.loads(json.dumps(drawn_files.coco_document()))
    path = folder / "annotations/train.json"
    return path, "segmentation_coco", documents([document])


def panoptic(folder):
    drawn_files.make_panoptic(folder)
    path = folder / "annotations/panoptic_train2017.json"
    document = drawn_files.panoptic_document()
    return path, "segmentation_panoptic", documents([document])


READERS = [
    *(cvat_masks, merged, names_of_classes, label_map, id_list),
    *(labelme, cvat, instances, panoptic),
]


@pytest.mark.parametrize("count", COUNTS, ids=str)
@pytest.mark.parametrize("make", READERS, ids=lambda make: make.__name__)
def test_a_file_is_read_or_named(make, count, tmp_path):
    path, name, inputs = make(tmp_path)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        labels_of(opened(name, tmp_path, **options))

    options = {}
    if "segmentation" not in name:
        options = {"splits": ("train",)}
    elif name == "segmentation_folder":
        options = {"ignore_label": 255}
    elif name != "segmentation_panoptic":
        options = {"empty": "keep", "unused": "keep", "boxes": "fill"}
    only_our_errors(read, inputs, count)
