"""Names and colours of converted weights."""

import pytest

from hrnet_jax.data.camvid import CLASSES as CAMVID
from hrnet_jax.errors import DataError
from hrnet_jax.inference.labels import class_info, has_classes, label_info


def test_class_names_from_data_sets_and_files(tmp_path):
    info = class_info("camvid", 11)
    assert info.class_names == tuple(CAMVID) and info.palette[3] == (128, 64, 128)
    path = tmp_path / "mine.txt"
    path.write_text("sky\n\n tree \nroad\n")
    info = class_info(str(path), 3)
    assert info.class_names == ("sky", "tree", "road") and len(info.palette) == 3
    assert info.name == "mine"


def test_outputs_of_other_families_are_named_too(tmp_path):
    path = tmp_path / "corners.txt"
    path.write_text("left\nright\n")
    info = label_info("landmarks", str(path), 2)
    assert info.point_names == ("left", "right") and info.num_classes == 0
    assert label_info("pose", "", 3).point_names == ("point 0", "point 1", "point 2")
    info = label_info("classification", "", 2)
    assert info.image_class_names == ("class 0", "class 1")
    assert label_info("segmentation", "", 2).class_names == ("class 0", "class 1")
    assert label_info("pyramid", "", 0).name == "pyramid"


def test_which_data_sets_have_fixed_classes():
    assert has_classes("cityscapes") and has_classes("camvid")
    assert not has_classes("segmentation_folder") and not has_classes("ade20k")


@pytest.mark.parametrize(
    ("classes", "count", "message"),
    [
        ("camvid", 19, "camvid names 11 classes, the weights have 19"),
        ("segmentation_folder", 3, "'segmentation_folder' has no fixed classes"),
        ("ade", 150, "ade: neither a file of class names nor one of the data sets"),
    ],
)
def test_wrong_class_names(classes, count, message):
    with pytest.raises(DataError, match=message):
        class_info(classes, count)
