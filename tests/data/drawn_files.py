"""Outlines as COCO, labelme and CVAT store them, and panoptic files, made by tests.

Each set shows the same: a car of columns 2 to 5 and rows 1 to 3, over a road of rows 2
to 5, which is the later one where files have an order.
"""

import base64
import json

import cv2
import numpy as np

from tests.data.segmentation_sets import save_image

SHAPE = (6, 8)
CAR, ROAD = (2, 1, 6, 4), (0, 2, 8, 6)  # x1, y1, x2, y2


def corners(box):
    x1, y1, x2, y2 = box
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]


def drawn(*layers, shape=SHAPE, rest=0):
    """Labels of boxes, the later over the earlier: (label, box)."""
    labels = np.full(shape, rest, np.uint8)
    for label, (x1, y1, x2, y2) in layers:
        labels[y1:y2, x1:x2] = label
    return labels


def coco_document():
    def annotation(number, category, box):
        x1, y1, x2, y2 = box
        flat = [value for corner in corners(box) for value in corner]
        return {
            "id": number,
            "image_id": 5,
            "category_id": category,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": [flat],
        }

    return {
        "images": [{"id": 5, "file_name": "a.png", "height": 6, "width": 8}],
        "categories": [{"id": 3, "name": "car"}, {"id": 8, "name": "road"}],
        "annotations": [annotation(1, 3, CAR), annotation(2, 8, ROAD)],
    }


def make_coco(folder, document=None):
    save_image(folder / "images/a.png", SHAPE)
    (folder / "annotations").mkdir(exist_ok=True)
    text = json.dumps(document or coco_document())
    (folder / "annotations/train.json").write_text(text)
    return folder


def labelme_document():
    png = cv2.imencode(".png", np.array([[1, 0], [1, 1]], np.uint8))[1].tobytes()
    shapes = [
        {"label": "car", "points": corners(CAR), "shape_type": "polygon"},
        {"label": "road", "points": [[8, 6], [0, 2]], "shape_type": "rectangle"},
        {
            "label": "car",
            "points": [[0, 0], [1, 1]],
            "shape_type": "mask",
            "mask": base64.b64encode(png).decode(),
        },
    ]
    names = {"imagePath": "a.png", "imageHeight": 6, "imageWidth": 8}
    return {"version": "5.4.1", "shapes": shapes, **names}


def make_labelme(folder, document=None):
    save_image(folder / "train/a.png", SHAPE)
    text = json.dumps(document or labelme_document())
    (folder / "train/a.json").write_text(text)
    return folder


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels>
<label><name>road</name><color>#804080</color></label>
<label><name>car</name><color>#00008e</color></label>
</labels></task></meta>
<image id="0" name="a.png" subset="Train" width="8" height="6">
<polygon label="car" points="2.00,1.00;6.00,1.00;6.00,4.00;2.00,4.00" z_order="1"/>
<polygon label="road" points="0.00,2.00;8.00,2.00;8.00,6.00;0.00,6.00" z_order="0"/>
<mask label="car" rle="0, 1, 1, 2" left="0" top="0" width="2" height="2" z_order="0"/>
<tag label="road"/>
</image></annotations>
"""


def make_cvat(folder, text=CVAT):
    save_image(folder / "images/a.png", SHAPE)
    (folder / "annotations.xml").write_text(text)
    return folder


def panoptic_document():
    segments = [{"id": 70000, "category_id": 3}, {"id": 7, "category_id": 8}]
    return {
        "images": [{"id": 5, "file_name": "a.jpg", "height": 6, "width": 8}],
        "categories": [{"id": 3, "name": "car"}, {"id": 8, "name": "road"}],
        "annotations": [
            {"image_id": 5, "file_name": "a.png", "segments_info": segments}
        ],
    }


def make_panoptic(folder, document=None):
    save_image(folder / "train2017/a.jpg", SHAPE)
    numbers = np.array([0, 70000, 7])[drawn((2, ROAD), (1, CAR))]
    channels = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], -1)
    path = folder / "annotations/panoptic_train2017/a.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), channels.astype(np.uint8))
    text = json.dumps(document or panoptic_document())
    (folder / "annotations/panoptic_train2017.json").write_text(text)
    return folder


MAKERS = {
    "segmentation_coco": make_coco,
    "segmentation_labelme": make_labelme,
    "segmentation_cvat": make_cvat,
    "segmentation_panoptic": make_panoptic,
}
