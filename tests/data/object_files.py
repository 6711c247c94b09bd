"""Writes tiny sets of objects in the layouts of tools."""

import copy
import json

import cv2
import numpy as np

from hrnet_jax.data import registry
from hrnet_jax.data.records import open_records

SIZE = (40, 60)  # height, width

DOCUMENT = {
    "images": [
        {"id": 12, "file_name": "a.jpg", "height": 40, "width": 60},
        {"id": 7, "file_name": "b.jpg", "height": 40, "width": 60},
    ],
    # Neither from 1 nor without gaps, and not in order.
    "categories": [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}],
    "annotations": [
        {
            "id": 100,
            "image_id": 12,
            "category_id": 9,
            "bbox": [10, 5, 20.5, 10],
            "area": 150.5,
            "iscrowd": 0,
            "segmentation": [[10, 5, 30.5, 5, 30.5, 15, 10, 15]],
        },
        {
            "id": 101,
            "image_id": 7,
            "category_id": 3,
            "bbox": [0, 0, 60, 40],
            "iscrowd": 1,
            "segmentation": {"size": [40, 60], "counts": [0, 40, 2360]},
        },
        {
            "id": 0,
            "image_id": 7,
            "category_id": 3,
            "bbox": [2, 3, 4, 5],
            "area": 0,
            "segmentation": [[2, 3, 6, 3, 6, 8, 2, 8]],
        },
    ],
}


def write_image(path, size=SIZE, value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), value, np.uint8))


def document(**changes):
    """A copy of the document, with other lists."""
    return {**copy.deepcopy(DOCUMENT), **changes}


def with_annotation(index, drop=(), **changes):
    """The document with one annotation changed."""
    changed = copy.deepcopy(DOCUMENT)
    entry = changed["annotations"][index]
    entry.update(changes)
    for key in drop:
        del entry[key]
    return changed


def write_coco(folder, content=None, name="annotations/train.json", images="images"):
    """A folder of images and a file of annotations; returns the folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content or DOCUMENT))
    for letter in "ab":
        write_image(folder / images / f"{letter}.jpg")
    return folder


def write_xml(path, objects, size=SIZE, filename=None, database="Unknown"):
    """An XML file of Pascal VOC; objects are (name, xmin, ymin, xmax, ymax, difficult)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = "".join(
        f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox>"
        f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for name, x1, y1, x2, y2, hard in objects
    )
    path.write_text(
        f"<annotation><filename>{filename or path.stem + '.jpg'}</filename>"
        f"<source><database>{database}</database></source>"
        f"<size><width>{size[1]}</width><height>{size[0]}</height></size>"
        f"{entries}</annotation>"
    )


def read(name, folder, split):
    return open_records(name, folder, split)[:]


def prepare(name, source, folder, **options):
    return registry.prepare(name, folder, source, **options)
