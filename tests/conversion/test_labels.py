"""Names and colours of converted weights."""

import itertools

import pytest

from hrnet_jax.conversion.labels import known_labels, label_info
from hrnet_jax.data.class_tables import CAMVID
from hrnet_jax.errors import DataError
from hrnet_jax.registry import get_spec


def test_class_names_from_data_sets_and_files(tmp_path):
    info = label_info(get_spec("segmentation"), "camvid", 11)
    assert info.class_names == tuple(CAMVID) and info.palette[3] == (128, 64, 128)
    path = tmp_path / "mine.txt"
    path.write_text("sky\n\n tree \nroad\n")
    info = label_info(get_spec("segmentation"), str(path), 3)
    assert info.class_names == ("sky", "tree", "road") and len(info.palette) == 3
    assert info.name == "mine"


def test_outputs_of_other_families_are_named_too(tmp_path):
    path = tmp_path / "corners.txt"
    path.write_text("left\nright\n")
    info = label_info(get_spec("landmarks"), str(path), 2)
    assert info.point_names == ("left", "right") and info.num_classes == 0
    # Own names tell what swaps in a mirror image, as those of own data sets do.
    assert info.point_flip_pairs == ((0, 1),)
    info = label_info(get_spec("segmentation"), str(path), 2)
    assert info.flip_pairs == ((0, 1),)
    names = label_info(get_spec("pose"), "", 3).point_names
    assert names == ("point 0", "point 1", "point 2")
    info = label_info(get_spec("classification"), "", 2)
    assert info.image_class_names == ("class 0", "class 1")
    assert label_info(get_spec("segmentation"), "", 2).class_names == (
        "class 0",
        "class 1",
    )
    assert label_info(get_spec("pyramid"), "", 0).name == "pyramid"


@pytest.mark.parametrize(
    ("data", "family", "count", "some"),
    [
        ("ade20k", "segmentation", 150, {0: "wall", 12: "person", 149: "flag"}),
        ("coco-stuff-10k", "segmentation", 171, {0: "person", 170: "wood"}),
        ("lip", "segmentation", 20, {0: "background", 14: "left-arm"}),
        ("pascal-context-59", "segmentation", 59, {0: "aeroplane", 58: "wood"}),
        ("pascal-context-60", "segmentation", 60, {0: "background", 37: "person"}),
        ("voc12aug", "segmentation", 21, {15: "person", 20: "tv monitor"}),
        ("coco", "pose", 17, {0: "nose", 9: "left wrist", 16: "right ankle"}),
        ("mpii", "pose", 16, {0: "right ankle", 9: "head top"}),
        ("300w", "landmarks", 68, {}),
        ("300wlp", "landmarks", 68, {}),
        ("wflw", "landmarks", 98, {}),
        ("cofw", "landmarks", 29, {}),
        ("aflw", "landmarks", 19, {}),
    ],
)
def test_names_of_data_sets_of_released_weights(data, family, count, some):
    info = label_info(get_spec(family), data, count)
    names = info.class_names or info.point_names
    assert len(names) == len(set(names)) == count
    assert all("  " not in name and name.strip() == name for name in names)
    for index, name in some.items():
        assert names[index] == name
    assert known_labels(data, count) == data and known_labels(data, count + 1) == ""


def test_left_and_right_swap_when_an_image_is_mirrored():
    lip = label_info(get_spec("segmentation"), "lip", 20)
    assert lip.flip_pairs == ((14, 15), (16, 17), (18, 19))
    coco = label_info(get_spec("pose"), "coco", 17).point_flip_pairs
    assert coco == tuple((index, index + 1) for index in range(1, 17, 2))
    mpii = label_info(get_spec("pose"), "mpii", 16).point_flip_pairs
    assert sorted(sorted(pair) for pair in mpii) == [
        [0, 5], [1, 4], [2, 3], [10, 15], [11, 14], [12, 13],
    ]  # fmt: skip
    assert label_info(get_spec("segmentation"), "ade20k", 150).flip_pairs == ()


@pytest.mark.parametrize(
    ("data", "count", "normalizer"),
    [
        ("300w", 68, "inter_ocular"),
        ("wflw", 98, "inter_ocular"),
        ("cofw", 29, "inter_ocular"),
        ("aflw", 19, "box"),
    ],
)
def test_faces_have_lines_pairs_and_a_normalizer(data, count, normalizer):
    info = label_info(get_spec("landmarks"), data, count)
    paired = [point for pair in info.point_flip_pairs for point in pair]
    assert len(set(paired)) == len(paired) > count // 2
    assert {point for line in info.point_lines for point in line} <= set(range(count))
    assert info.default_normalizer == normalizer
    assert info.tight_boxes == (data != "aflw")
    with pytest.raises(DataError, match=f"{data} names {count} points, .* have 5"):
        label_info(get_spec("landmarks"), data, 5)


@pytest.mark.parametrize("data, count", [("coco", 17), ("mpii", 16)])
def test_limbs_are_drawn_alike_on_both_sides(data, count):
    info = label_info(get_spec("pose"), data, count)
    other = dict(info.point_flip_pairs)
    other |= {right: left for left, right in other.items()}
    limbs = {
        frozenset(limb)
        for line in info.point_lines
        for limb in itertools.pairwise(line)
    }
    assert {frozenset(other.get(p, p) for p in limb) for limb in limbs} == limbs
    assert {point for limb in limbs for point in limb} == set(range(count))


def test_labels_are_known_where_all_outputs_have_names():
    assert known_labels("cityscapes", 19) == "cityscapes"
    assert known_labels("coco", 51) == known_labels("segmentation_folder", 3) == ""
    assert known_labels("imagenet-1k", 1000) == ""


@pytest.mark.parametrize(
    ("classes", "count", "message"),
    [
        ("camvid", 19, "camvid names 11 classes, the weights have 19"),
        ("segmentation_folder", 3, "'segmentation_folder' has no fixed classes"),
        ("lip", 19, "lip names 20 classes, the weights have 19"),
        ("ade", 150, "ade: neither a file of class names nor one of the data sets"),
    ],
)
def test_wrong_class_names(classes, count, message):
    with pytest.raises(DataError, match=message):
        label_info(get_spec("segmentation"), classes, count)
