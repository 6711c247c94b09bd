"""Cityscapes: the id table of the official code, layout, and errors."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.class_tables import CITYSCAPES
from hrnet_jax.data.files.label_files import NOT_A_LABEL
from hrnet_jax.data.info import label_pixels
from hrnet_jax.data.records import open_records
from hrnet_jax.data.sources.cityscapes import (
    CLASS_WEIGHTS,
    TRAIN_ID_TABLE,
    ids_from_train_ids,
)
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.task import SegmentationTask
from hrnet_jax.training.build import open_split
from tests.goldens import official

GOLDEN = official.arrays("numeric/segmentation")


def test_train_ids_equal_the_official_table():
    expected = GOLDEN["cityscapes/forward_uint8"]
    np.testing.assert_array_equal(TRAIN_ID_TABLE[:34], expected[:34])
    assert TRAIN_ID_TABLE[255] == expected[255] == 255
    # The official code lets these pass as they are; here they are errors.
    np.testing.assert_array_equal(expected[34:255], np.arange(34, 255))
    assert (TRAIN_ID_TABLE[34:255] == NOT_A_LABEL).all()
    # -1, the licence plate, is 255 in an unsigned byte.
    signed = GOLDEN["cityscapes/forward_minus1_to_33"]
    raw = np.arange(-1, 34).astype(np.uint8)
    np.testing.assert_array_equal(TRAIN_ID_TABLE[raw], signed)


def test_ids_for_the_server_equal_the_official_table():
    np.testing.assert_array_equal(
        ids_from_train_ids(np.arange(19)), GOLDEN["cityscapes/inverse_0_to_18"]
    )
    # The official code turns ignored pixels into 30, the last of many ids that
    # share the ignore label; 0 is the id that means "unlabeled".
    assert GOLDEN["cityscapes/inverse_255"] == [30]
    assert ids_from_train_ids(np.array([[255]], np.uint8)).tolist() == [[0]]


@pytest.mark.parametrize("wrong", [19, 254, -1, 256])
def test_refuses_train_ids_that_do_not_exist(wrong):
    with pytest.raises(DataError, match=f"train id {wrong} is not one of 0..18"):
        ids_from_train_ids(np.array([3, wrong]))


def test_nineteen_of_everything():
    assert len(CITYSCAPES) == len(CLASS_WEIGHTS) == 19
    assert list(CITYSCAPES)[13] == "car" and CLASS_WEIGHTS[-1] == 1.0507


def write(folder, split, city, name, values):
    image = folder / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
    label = folder / "gtFine" / split / city / f"{name}_gtFine_labelIds.png"
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(image), np.full((*values.shape, 3), (10, 20, 30), np.uint8))
    cv2.imwrite(str(label), values)
    return image, label


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "cityscapes"
    values = np.arange(34, dtype=np.uint8).reshape(2, 17)
    write(folder, "train", "ulm", "ulm_000001_000019", values)
    write(folder, "train", "aachen", "aachen_000000_000019", values)
    write(folder, "val", "bonn", "bonn_000000_000019", values)
    # Files that the official archives hold beside the ones used.
    (folder / "gtFine/val/bonn/bonn_000000_000019_gtFine_polygons.json").write_text("")
    return folder


def test_reads_the_official_layout(source, tmp_path):
    info = registry.prepare("cityscapes", tmp_path / "data", source)
    assert info.counts == {"train": 2, "val": 1, "trainval": 3}
    assert info.findings[0] == ("train", "images, of 2975 published", 2)
    assert label_pixels(info, "trainval").tolist() == [3.0] * 19
    assert info.label_histogram["train"] == [2] * 19
    assert info.ignored_pixels["train"] == 2 * (34 - 19)
    records = open_records("cityscapes", tmp_path / "data", "train")
    assert [sample["image_id"] for sample in records] == [
        "aachen_000000_000019",
        "ulm_000001_000019",
    ]
    expected = GOLDEN["cityscapes/forward_uint8"][np.arange(34).reshape(2, 17)]
    np.testing.assert_array_equal(records[0]["label"], expected)
    assert records[0]["image"][0, 0].tolist() == [30, 20, 10]


def test_what_a_mac_leaves_beside_the_files_is_no_image(source, tmp_path):
    before = registry.prepare("cityscapes", tmp_path, source).counts
    for path in list(source.rglob("*.png")):
        path.with_name(f"._{path.name}").write_bytes(b"of a Mac")
    assert registry.prepare("cityscapes", tmp_path, source, True).counts == before


def test_the_test_split_has_images_alone(source, tmp_path):
    """Neither its blank label files nor their folder are needed."""
    _, label = write(source, "test", "berlin", "berlin_0", np.zeros((2, 17), np.uint8))
    label.unlink()
    info = registry.prepare("cityscapes", tmp_path, source, splits=("val", "test"))
    assert info.counts == {"val": 1, "test": 1}
    assert info.unlabelled_splits == ("test",)
    assert info.default_splits == {"train": "val", "eval": "val"}
    assert "no labels" in summarize(info)
    records = open_records("cityscapes", tmp_path, "test[:1]")
    assert not records.labelled
    assert records[0].keys() == {"image", "image_id"}
    assert records[0]["image"].shape == (2, 17, 3)
    assert open_records("cityscapes", tmp_path, "val")[0]["label"].shape == (2, 17)
    task = SegmentationTask(create_model("segmentation/w18"), info)
    sample = task.eval_transform(records[0])
    assert sample["image"].shape == (2, 17, 3) and "label" not in sample
    with pytest.raises(
        DataError, match="'cityscapes' has no counts of the pixels of 't"
    ):
        label_pixels(info, "test")


def test_metrics_of_a_split_without_labels_are_refused(source, tmp_path):
    write(source, "test", "berlin", "berlin_0", np.zeros((2, 17), np.uint8))
    registry.prepare("cityscapes", tmp_path, source, splits=("val", "test"))
    config = default_config("segmentation")
    config.dataset.update({"name": "cityscapes", "data_dir": str(tmp_path)})
    with pytest.raises(
        DataError, match="split 'test' of data set 'cityscapes' has no l"
    ):
        open_split(read_config(config), "test")


def test_coarse_labels_are_splits_of_their_own(source, tmp_path):
    values = np.full((2, 17), 7, np.uint8)
    for split, name in (("train_extra", "wien_0"), ("train", "ulm_000001_000019")):
        _, label = write(source, split, name.split("_")[0], name, values)
        coarse = str(label).replace("gtFine", "gtCoarse")
        Path(coarse).parent.mkdir(parents=True)
        label.rename(coarse)
    chosen = ("train_extra", "val", "train_coarse")
    with pytest.raises(
        DataError, match=r"aachen_0.* has no label file .*gtCoarse/train"
    ):
        registry.prepare("cityscapes", tmp_path, source, splits=chosen)
    info = registry.prepare("cityscapes", tmp_path, source, splits=chosen[:2])
    assert info.counts == {"train_extra": 1, "val": 1}
    assert info.label_histogram["train_extra"] == [34] + [0] * 18


def test_names_what_is_missing(source, tmp_path):
    image, label = write(source, "val", "bonn", "bonn_1", np.zeros((2, 2), np.uint8))
    label.unlink()
    with pytest.raises(DataError, match=r"bonn_1_leftImg8bit\.png has no label file"):
        registry.prepare("cityscapes", tmp_path / "data", source)
    image.rename(image.with_name("other.png"))
    cv2.imwrite(str(label), np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match=r"bonn_1_gtFine_labelIds\.png has no image"):
        registry.prepare("cityscapes", tmp_path / "data", source)
    with pytest.raises(
        DataError,
        match="leftImg8bit/test is missing; expected the official layout .* holds gtFine, "
        "leftImg8bit. The set is at https://www.cityscapes",
    ):
        registry.prepare("cityscapes", tmp_path / "data", source, splits=("test",))
    (source / "leftImg8bit" / "test").mkdir()
    with pytest.raises(DataError, match="test has no files CITY/"):
        registry.prepare("cityscapes", tmp_path / "data", source, splits=("test",))


def test_names_ids_that_do_not_exist(source, tmp_path):
    values = np.zeros((2, 17), np.uint8)
    values[1, 1] = 34
    write(source, "val", "bonn", "bonn_2", values)
    with pytest.raises(DataError, match=r"bonn_2_gtFine.* label 34 \(1 pixels\)"):
        registry.prepare("cityscapes", tmp_path / "data", source)
