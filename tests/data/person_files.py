"""Writes tiny sets of persons in the layouts of COCO, MPII and LSP."""

import copy
import json

import cv2
import numpy as np
import scipy.io

from hrnet_jax.data import registry
from hrnet_jax.data.persons.view import PersonRecords
from hrnet_jax.data.records import open_records

SIZE = (40, 60)  # height, width

# Three points, of which two are a pair; a person, a crowd and somebody without points.
DOCUMENT = {
    "images": [
        {"id": 12, "file_name": "a.jpg", "height": 40, "width": 60},
        {"id": 7, "file_name": "b.jpg", "height": 40, "width": 60},
        {"id": 9, "file_name": "c.jpg", "height": 40, "width": 60},
    ],
    "categories": [
        {
            "id": 1,
            "name": "person",
            "keypoints": ["nose", "left_hand", "right_hand"],
            "skeleton": [[2, 1], [1, 3]],
        }
    ],
    "annotations": [
        {
            "id": 100,
            "image_id": 12,
            "category_id": 1,
            "keypoints": [20, 8.5, 2, 12, 20, 1, 0, 0, 0],
            "num_keypoints": 2,
            "bbox": [10, 5, 20.5, 30],
            "area": 400.5,
            "iscrowd": 0,
        },
        {
            "id": 101,
            "image_id": 12,
            "category_id": 1,
            "keypoints": [0] * 9,
            "num_keypoints": 0,
            "bbox": [1, 1, 8, 9],
            "area": 50,
            "iscrowd": 0,
        },
        {
            "id": 102,
            "image_id": 7,
            "category_id": 1,
            "keypoints": [0] * 9,
            "num_keypoints": 0,
            "bbox": [0, 0, 30, 30],
            "area": 600,
            "iscrowd": 1,
        },
        {
            "id": 103,
            "image_id": 12,
            "category_id": 1,
            "keypoints": [45, 10, 2, 40, 20, 2, 52, 21, 2],
            "num_keypoints": 3,
            "bbox": [38, 4, 40, 33],
            "area": 350,
            "iscrowd": 0,
        },
    ],
}


def write_image(path, value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*SIZE, 3), value, np.uint8))


def document(index=0, drop=(), **changes):
    """The document, with one annotation changed."""
    changed = copy.deepcopy(DOCUMENT)
    changed["annotations"][index].update(changes)
    for key in drop:
        del changed["annotations"][index][key]
    return changed


def write_coco(
    folder, content=DOCUMENT, name="annotations/train.json", images="images"
):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    for number, letter in enumerate("abc"):
        write_image(folder / images / f"{letter}.jpg", 20 * (number + 1))
    return folder


def coco17(points=()):
    """An annotation of a person of COCO, with these points by index."""
    values = np.zeros((17, 3))
    for index, (x, y, v) in dict(points).items():
        values[index] = x, y, v
    return values.ravel().tolist()


def mpii_rows(images=("a.jpg", "b.jpg", "a.jpg")):
    """Rows of HRNet's lists, different for each person."""
    rng = np.random.default_rng(5)
    rows = []
    for name in images:
        flags = rng.integers(0, 2, 16)
        flags[:3] = 1
        points = np.where(flags[:, None], rng.uniform(5, 35, (16, 2)).round(3), -1.0)
        rows.append(
            {
                "image": name,
                "scale": round(float(rng.uniform(0.1, 0.2)), 4),
                "center": [30.0, 15.0],
                "joints": points.tolist(),
                "joints_vis": flags.tolist(),
            }
        )
    return rows


def write_mpii(folder, rows, heads=None):
    """Lists of train and val, and `gt_valid.mat` of the latter in another order."""
    annotations = folder / "annot"
    annotations.mkdir(parents=True, exist_ok=True)
    for name in "abc":
        write_image(folder / "images" / f"{name}.jpg")
    (annotations / "train.json").write_text(json.dumps(rows[:1]))
    (annotations / "valid.json").write_text(json.dumps(rows[1:]))
    if heads is not None:
        points = np.array([row["joints"] for row in rows[1:]])[::-1]
        scipy.io.savemat(
            annotations / "gt_valid.mat",
            {
                "pos_gt_src": np.moveaxis(points, 0, 2),
                "headboxes_src": np.moveaxis(np.asarray(heads)[::-1], 0, 2),
            },
            do_compression=True,
        )
    return folder


def structure(rows, heads, **changes):
    """MPII's official structure of the same persons, all to train on."""
    images = {}
    for row, head in zip(rows, heads, strict=True):
        points = [
            {"x": x, "y": y, "id": index, "is_visible": str(index % 2)}
            for index, (x, y) in enumerate(row["joints"])
            if row["joints_vis"][index]
        ]
        (x1, y1), (x2, y2) = head
        person = {
            "x1": x1,
            "y1": y1,
            "x2": x2,
            "y2": y2,
            "scale": row["scale"],
            "objpos": dict(zip("xy", row["center"], strict=True)),
            "annopoints": {"point": _structs(points)},
        }
        images.setdefault(row["image"], []).append(person)
    # Somebody of whom nothing but a head is known, and an image of the test set.
    images["a.jpg"].append({key: 1.0 for key in ("x1", "y1", "x2", "y2")})
    entries = [
        {"image": {"name": name}, "annorect": _structs(persons)}
        for name, persons in images.items()
    ]
    entries.append({"image": {"name": "test.jpg"}, "annorect": np.zeros((0, 0))})
    release = {
        "annolist": _structs(entries),
        "img_train": np.array([1.0] * len(images) + [0.0]),
    }
    return {"RELEASE": release | changes}


def _structs(entries):
    """A struct array, as MATLAB has lists of dictionaries."""
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    array = np.empty((1, len(entries)), [(name, object) for name in names])
    for at, entry in enumerate(entries):
        for name in names:
            array[0, at][name] = entry.get(name, np.zeros((0, 0)))
    return array


def prepare(name, source, folder, **options):
    return registry.prepare(name, folder, source, True, **options)


def persons(name, folder, split="train", boxes=None):
    return PersonRecords(open_records(name, folder, split), boxes)
