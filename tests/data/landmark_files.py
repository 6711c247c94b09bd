"""Writes tiny landmark data sets in their official layouts."""

import copy
import csv
import json

import cv2
import numpy as np

from hrnet_jax.data import registry
from hrnet_jax.data.records import open_records

_HAND = {
    "id": 3,
    "name": "hand",
    "keypoints": ["wrist", "tip.L", "tip.R"],
    "skeleton": [[1, 2], [1, 3]],
}


def random_points(num_points, seed):
    """Points of a face in a 40x32 image, written with few digits."""
    rng = np.random.default_rng(seed)
    return np.round(rng.uniform((5, 4), (35, 28), (num_points, 2)), 3)


def write_image(path, seed=0):
    """A 40x32 JPEG or PNG whose mean tells the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((32, 40, 3), 10 * (seed + 1), np.uint8)
    cv2.imwrite(str(path), pixels)


def official_box(points):
    """(scale, center x, center y) by the rule of HRNet's files, written out."""
    x1, y1 = np.floor(points[:, 0].min()), np.floor(points[:, 1].min())
    x2, y2 = np.ceil(points[:, 0].max()), np.ceil(points[:, 1].max())
    return max(x2 - x1, y2 - y1) / 200, (x1 + x2) / 2, (y1 + y2) / 2


def official_header(num_points, first=("image_name", "scale", "center_w", "center_h")):
    points = [f"original_{k}_{axis}" for k in range(num_points) for axis in "xy"]
    return [*first, *points]


def official_row(name, points):
    return [name, *official_box(points), *points.ravel()]


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def change_cell(path, line, column, text):
    """Replaces a cell; `line` counts from 1, as editors do."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    rows[line - 1][column] = text
    write_csv(path, rows)


def prepare(name, source, tmp_path, **options):
    return registry.prepare(name, tmp_path / "data", source, True, **options)


def read(name, tmp_path, split):
    return list(open_records(name, tmp_path / "data", split))


# Columns of a user's table, and one written with them.
COLUMNS = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y")


def csv_row(index, *more):
    return [f"img{index}.jpg", *more, *random_points(3, index).ravel()]


def write_tables(folder):
    """Ten images, seven of them in `train.csv`, three in `val.csv`."""
    for index in range(10):
        write_image(folder / "images" / f"img{index}.jpg")
    rows = [csv_row(index) for index in range(10)]
    write_csv(folder / "train.csv", [["image_name", *COLUMNS], *rows[:7]])
    write_csv(folder / "val.csv", [["image_name", *COLUMNS], *rows[7:]])
    return folder


def prepare_csv(source, tmp_path, **options):
    """Prepares a user's tables."""
    return prepare("landmarks_csv", source, tmp_path, **options)


def read_csv(tmp_path, split="train"):
    """Examples of prepared tables."""
    return read("landmarks_csv", tmp_path, split)


def write_annotations(path, document):
    """Writes a COCO file, its folder as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def coco_document(first, count=2):
    """`count` images with one hand each, and a face that has no key points."""
    return {
        "images": [
            {"id": 10 + k, "file_name": f"a/img{first + k}.jpg"} for k in range(count)
        ],
        "categories": [{"id": 1, "name": "face"}, copy.deepcopy(_HAND)],
        "annotations": [
            {
                "id": 100 + k,
                "image_id": 10 + k,
                "category_id": 3,
                "keypoints": [5, 6.5, 2, 0, 0, 0, 20 + k, 21, 1],
                "bbox": [4, 5, 20, 24.5],
            }
            for k in range(count)
        ]
        + [{"id": 999, "image_id": 10, "category_id": 1, "bbox": [0, 0, 3, 3]}],
    }


def write_coco(folder):
    """Six images and the annotations of two in `train`, of two in `val`."""
    for k in range(6):
        write_image(folder / "images" / "a" / f"img{k}.jpg")
    for split, first in (("train", 0), ("val", 2)):
        path = folder / "annotations" / f"{split}.json"
        write_annotations(path, coco_document(first))
    return folder


def prepare_coco(source, tmp_path, **options):
    """Prepares it."""
    return prepare("landmarks_coco", source, tmp_path, **options)
