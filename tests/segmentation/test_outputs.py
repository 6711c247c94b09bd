"""Files beside the pictures: palettes, polygons, and what servers take."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

from hrnet_jax.data.class_tables import bit_palette
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging import run_lengths
from hrnet_jax.segmentation.outputs import save_prediction, save_together
from hrnet_jax.segmentation.polygons import polygons_of

PALETTE = ((10, 20, 30), (200, 0, 0), (0, 0, 250))


def info(name="any", count=3):
    return DatasetInfo(name, count, tuple(f"c{k}" for k in range(count)), ())


def made_up(size=(41, 53), seed=0, sigma=2):
    """Blobs of three classes, with holes, islands and parts of one pixel."""
    noise = np.random.default_rng(seed).random((*size, 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), sigma).argmax(-1).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0.01, 2])
def test_polygons_hold_the_pixels_of_their_parts(sigma):
    label = made_up(sigma=sigma)
    height, width = label.shape
    drawn = np.full_like(label, 99)
    for one in polygons_of(label, 3):
        points = [np.ravel(one["points"]).tolist()]
        (drawing,) = coco_masks.frPyObjects(points, height, width)
        mask = run_lengths.decode(drawing["counts"].decode(), label.shape) > 0
        assert mask.sum() == one["area"]
        rows, columns = np.nonzero(mask)
        left, top, wide, tall = one["box"]
        assert (columns.min(), rows.min()) == (left, top)
        assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (wide, tall)
        assert (drawn[mask] == 99).all()
        drawn[mask] = one["class"]
    np.testing.assert_array_equal(drawn, label)


def saved(tmp_path, kinds, info, label, name="street"):
    confidence = np.full(label.shape, 0.5, np.float32)
    image = np.zeros((*label.shape, 3), np.uint8)
    prediction = {"label": label, "confidence": confidence}
    entry = save_prediction(tmp_path, name, image, prediction, info, kinds)
    entry |= {"image": f"photos/{name}.jpg", "name": name}
    return save_together(tmp_path, [entry], info, kinds)


def test_polygons_are_files_of_coco_and_labelme(tmp_path):
    label = made_up()
    (entry,) = saved(tmp_path, ["coco", "labelme"], info(), label)
    assert entry["classes"][0]["pixels"] == np.bincount(label.ravel()).max()
    assert "polygons" not in entry
    found = json.loads((tmp_path / "polygons.json").read_text())
    assert found["images"] == [
        {"id": 1, "file_name": "street.jpg", "height": 41, "width": 53}
    ]
    assert found["categories"][2] == {"id": 3, "name": "c2"}
    assert sum(one["area"] for one in found["annotations"]) == label.size
    own = json.loads((tmp_path / "street_labelme.json").read_text())
    assert len(own["shapes"]) == len(found["annotations"])
    assert own["imagePath"].endswith("photos/street.jpg")
    assert {shape["label"] for shape in own["shapes"]} == {"c0", "c1", "c2"}


def test_an_indexed_png_has_the_labels_and_their_colours(tmp_path):
    label = made_up()
    facts = DatasetInfo("any", 3, ("a", "b", "c"), PALETTE)
    saved(tmp_path, ["indexed"], facts, label)
    assert [path.name for path in tmp_path.iterdir()] == ["street_indexed.png"]
    opened = Image.open(tmp_path / "street_indexed.png")
    assert opened.mode == "P"
    np.testing.assert_array_equal(np.asarray(opened), label)
    np.testing.assert_array_equal(
        np.asarray(opened.convert("RGB"))[label == 1],
        np.tile([[200, 0, 0]], ((label == 1).sum(), 1)),
    )


@pytest.mark.parametrize(
    ("name", "image", "file", "numbers"),
    [
        ("cityscapes", "bonn_000001_000019_leftImg8bit", "bonn_000001_000019", (7, 33)),
        ("lip", "100034_483681", "100034_483681", (0, 18)),
        ("ade20k", "ADE_val_00000001", "ADE_val_00000001", (1, 19)),
        ("voc2012", "2008_000006", "2008_000006", (0, 18)),
    ],
)
def test_submissions_have_the_numbers_of_their_servers(
    tmp_path, name, image, file, numbers
):
    label = np.zeros((4, 6), np.uint8)
    label[2:] = 18
    saved(tmp_path, ["submission"], info(name, 19), label, image)
    stored = Image.open(tmp_path / f"submission/{file}.png")
    np.testing.assert_array_equal(np.unique(np.asarray(stored)), numbers)
    assert np.asarray(stored)[3, 3] == numbers[1]
    if name == "voc2012":
        assert stored.getpalette()[54:57] == list(bit_palette(19)[18])


def test_coco_stuff_is_one_file_of_masks(tmp_path):
    label = np.zeros((4, 6), np.uint8)
    label[2:, :3] = 170
    label[1, 5] = 11
    facts = info("coco_stuff_10k", 171)
    saved(tmp_path, ["submission"], facts, label, "COCO_train2014_000000000077")
    results = json.loads((tmp_path / "submission/coco_stuff.json").read_text())
    # Of 182 numbers 12, the street sign, is the first without a class.
    assert [one["category_id"] for one in results] == [1, 13, 182]
    assert {one["image_id"] for one in results} == {77}
    mask = run_lengths.decode(results[2]["segmentation"]["counts"], label.shape)
    np.testing.assert_array_equal(mask, label == 170)
    with pytest.raises(DataError, match="'street'.* wants the number of each image"):
        saved(tmp_path, ["submission"], facts, label, "street")


def test_a_set_without_a_server_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match="'any', which has no server; expected one of"
    ):
        saved(tmp_path, ["submission"], info(), made_up())
