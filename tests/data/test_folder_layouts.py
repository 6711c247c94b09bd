"""Own folders in the layouts of mmsegmentation, Pascal VOC and CVAT."""

import logging

import cv2
import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.files.label_files import OTHER_READER
from hrnet_jax.data.records import open_records
from hrnet_jax.data.sources.segmentation_folder import FolderOptions, SegmentationFolder
from hrnet_jax.errors import DataError
from tests.data.segmentation_sets import save_image, save_values, write_list

CLASSES = ("sky", "road")
VALUES = np.array([[0, 1, 1], [1, 255, 0]], np.uint8)
LABELMAP = "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:128,64,128::\n"


def opened(folder, **options):
    return SegmentationFolder(folder, FolderOptions(**options))


@pytest.fixture
def mmseg(tmp_path):
    """`img_dir` and `ann_dir`, with the endings of Cityscapes; a test without masks."""
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        for name in names:
            save_image(tmp_path / f"set/img_dir/{split}/{name}_leftImg8bit.png")
            if split != "test":
                path = tmp_path / f"set/ann_dir/{split}/{name}_gtFine_labelTrainIds.png"
                save_values(path, VALUES)
    return tmp_path / "set"


SUFFIXES = {"image_suffix": "_leftImg8bit", "mask_suffix": "_gtFine_labelTrainIds"}


def test_the_folders_of_mmsegmentation_are_splits(mmseg, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    save_image(mmseg / "img_dir/train/a_other.png")
    info = registry.prepare(
        "segmentation_folder",
        tmp_path,
        mmseg,
        save_as="mine",
        classes=CLASSES,
        **SUFFIXES,
    )
    assert f"{mmseg}: read in the layout of mmsegmentation" in caplog.text
    assert info.counts == {"train": 2, "val": 1, "test": 1}
    assert info.unlabelled_splits == ("test",)
    assert info.default_splits == {"train": "train", "eval": "val"}
    assert info.findings[:2] == (
        ("img_dir", "images without _leftImg8bit, left out", 1),
        ("img_dir", "images, of split train by their folder", 2),
    )
    records = open_records("mine", tmp_path, "train")
    assert [sample["image_id"] for sample in records] == ["train/a", "train/b"]
    np.testing.assert_array_equal(records[0]["label"], VALUES)
    assert "label" not in open_records("mine", tmp_path, "test")[0]


def test_masks_of_a_split_to_train_on_are_not_left_out(mmseg):
    for path in (mmseg / "ann_dir/val").iterdir():
        path.unlink()
    (mmseg / "ann_dir/val").rmdir()
    with pytest.raises(
        DataError, match=r"val/c_leftImg8bit.png has no mask: .*ann_dir/v"
    ):
        opened(mmseg, classes=CLASSES, **SUFFIXES).splits()


def test_other_folders_are_cut_by_ratio(tmp_path):
    """As before: `park` is no split, and `train` alone divides nothing."""
    for name in ("train/a", "train/b", "park/c"):
        save_image(tmp_path / f"images/{name}.png")
        save_values(tmp_path / f"masks/{name}.png", VALUES)
    splits = opened(tmp_path, classes=CLASSES, ratios=(0.5, 0.5)).splits()
    assert {split: len(pairs) for split, pairs in splits.items()} == {
        "train": 2,
        "val": 1,
    }
    (tmp_path / "images/park/c.png").unlink()
    (tmp_path / "masks/park/c.png").unlink()
    splits = opened(tmp_path, classes=CLASSES, ratios=(0.5, 0.5)).splits()
    assert len(splits["val"]) == 1


def test_two_layouts_in_one_folder_are_asked_about(mmseg):
    save_image(mmseg / "images/a.png")
    with pytest.raises(
        DataError,
        match="has images and img_dir; say .* --option images=images, or images",
    ):
        opened(mmseg, classes=CLASSES)
    assert opened(mmseg, classes=CLASSES, images="img_dir").layout.masks == "ann_dir"


def test_a_folder_of_no_known_layout_is_named_with_what_it_holds(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError) as caught:
        opened(tmp_path, classes=CLASSES)
    assert str(caught.value) == (
        f"{tmp_path}/images is missing; expected the images there, or in one of images/ "
        "(the layout of docs/data.md), img_dir/ (the layout of mmsegmentation), "
        "JPEGImages/ (the layout of Pascal VOC and CVAT); "
        f"{tmp_path} holds photos; --option images=NAME names another "
        "folder"
    )


@pytest.fixture
def cvat(tmp_path):
    """The export "Segmentation mask": RGB masks, colours in a list, no division."""
    colours = np.array([(0, 0, 0), (128, 64, 128)], np.uint8)[:, ::-1]
    for name in ("a", "park/b", "c"):
        save_image(tmp_path / f"JPEGImages/{name}.jpg")
        save_values(tmp_path / f"SegmentationClass/{name}.png", colours[VALUES % 2])
    write_list(tmp_path / "ImageSets/Segmentation/default.txt", "a", "park/b", "c")
    (tmp_path / "labelmap.txt").write_text(LABELMAP)
    return tmp_path


def test_masks_of_cvat_are_read_by_the_colours_of_its_list(cvat, tmp_path):
    info = registry.prepare(
        "segmentation_folder", tmp_path / "data", cvat, save_as="mine"
    )
    assert info.class_names == CLASSES and info.palette[1] == (128, 64, 128)
    assert info.counts == {"train": 2, "val": 1}
    sample = open_records("mine", tmp_path / "data", "train")[0]
    np.testing.assert_array_equal(sample["label"], VALUES % 2)


def test_lists_of_voc_divide_the_images(cvat):
    write_list(cvat / "ImageSets/Segmentation/train.txt", "c", "a")
    write_list(cvat / "ImageSets/Segmentation/val.txt", "park/b")
    splits = opened(cvat).splits()
    assert [pair.image_id for pair in splits["train"]] == ["c", "a"]
    write_list(cvat / "ImageSets/Segmentation/val.txt", "park/b", "d")
    with pytest.raises(
        DataError, match=r"Segmentation/val.txt:2 names 'd', which is not"
    ):
        opened(cvat).splits()


@pytest.mark.parametrize(
    "line", ["road:128,64::", "road:1,2,300::", ":1,2,3::", "road"]
)
def test_wrong_lines_of_a_list_of_cvat_are_named(line, cvat):
    (cvat / "labelmap.txt").write_text(f"sky:0,0,0::\n{line}\n")
    with pytest.raises(
        DataError, match="labelmap.txt:2: expected 'NAME:RED,GREEN,BLUE:PARTS:ACTIONS'"
    ):
        opened(cvat)


def test_colours_that_no_class_of_cvat_has_are_named(cvat, tmp_path):
    path = cvat / "SegmentationClass/a.png"
    cv2.imwrite(str(path), np.full((2, 3, 3), (3, 2, 1), np.uint8))
    with pytest.raises(
        DataError, match=r"a.png holds colour #010203 \(6 pixels\), which"
    ):
        registry.prepare("segmentation_folder", tmp_path / "data", cvat)


def test_the_way_to_read_colours_names_a_data_set_that_exists():
    assert "segmentation_folder" in OTHER_READER and "segmentation_folder" in (
        registry.SOURCES
    )
