"""COCO key points: categories, visibility, boxes, splits, errors."""

import json

import numpy as np
import pytest

from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from tests.data.landmark_files import (
    coco_document,
    prepare_coco,
    read,
    write_annotations,
    write_coco,
    write_image,
)


@pytest.fixture
def source(tmp_path):
    return write_coco(tmp_path / "mine")


def test_a_byte_order_mark_is_no_part_of_the_json(source, tmp_path):
    path = source / "annotations" / "train.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert prepare_coco(source, tmp_path).counts == {"train": 2, "val": 2}


def test_reads_points_visibility_and_boxes(source, tmp_path):
    info = prepare_coco(source, tmp_path)
    assert info.counts == {"train": 2, "val": 2}
    assert info.point_names == ("wrist", "tip.L", "tip.R")
    assert info.point_flip_pairs == ((1, 2),)
    assert info.point_lines == ((0, 1), (0, 2))
    assert info.default_normalizer == "box"
    for k, sample in enumerate(read("landmarks_coco", tmp_path, "train")):
        assert sample["image_id"] == f"a/img{k}"
        assert sample["points"].tolist() == [[5, 6.5], [0, 0], [20 + k, 21]]
        assert sample["annotated"].tolist() == [1, 0, 1]
        assert sample["visible"].tolist() == [1, 0, 0]
        assert sample["center"].tolist() == [14, 17.25]
        assert sample["scale"] == 24.5 / 200 and sample["box_size"] == 24.5


def test_annotations_without_key_points_are_skipped_and_counted(source, tmp_path):
    content = coco_document(0)
    content["annotations"] += [
        {"id": 1, "image_id": 11, "category_id": 3, "keypoints": [0] * 9},
        {"id": 2, "image_id": 11, "category_id": 3, "keypoints": []},
        {"id": 3, "image_id": 11, "category_id": 3, "iscrowd": 1},
        {"id": 4, "image_id": 11, "category_id": 3},
    ]
    content["images"].append({"id": 7, "file_name": "empty.jpg"})
    write_annotations(source / "annotations" / "train.json", content)
    info = prepare_coco(source, tmp_path)
    assert info.counts["train"] == 2
    assert [found for found in info.findings if found[0] == "train.json"] == [
        ("train.json", "annotations of other categories, left out", 1),
        ("train.json", "annotations without key points, left out", 3),
        ("train.json", "annotations of crowds (iscrowd), left out", 1),
        ("train.json", "images without key points, left out", 1),
    ]
    lines = [" ".join(line.split()) for line in summarize(info).splitlines()]
    assert "train.json annotations without key points, left out 3" in lines


def test_without_bbox_the_box_is_around_the_points(source, tmp_path):
    content = coco_document(0)
    del content["annotations"][0]["bbox"]
    write_annotations(source / "annotations" / "train.json", content)
    prepare_coco(source, tmp_path)
    first = read("landmarks_coco", tmp_path, "train")[0]
    assert first["center"].tolist() == [12.5, 13.5] and first["scale"] == 15 / 200


def test_several_objects_of_an_image_have_their_own_names(source, tmp_path):
    content = coco_document(0)
    content["annotations"][1]["image_id"] = 10
    write_annotations(source / "annotations" / "train.json", content)
    prepare_coco(source, tmp_path)
    ids = [s["image_id"] for s in read("landmarks_coco", tmp_path, "train")]
    assert ids == ["a/img0", "a/img0#2"]


def test_files_and_folders_can_be_named(source, tmp_path):
    (source / "annotations" / "train.json").rename(source / "mine.json")
    for split in ("train", "val"):
        for k in range(4):
            write_image(source / f"{split}2017" / "a" / f"img{k}.jpg", seed=k + 7)
    info = prepare_coco(source, tmp_path, train="mine.json", images="{split}2017")
    assert info.counts == {"train": 2, "val": 2}
    sample = read("landmarks_coco", tmp_path, "train")[0]
    assert abs(int(sample["image"].mean()) - 80) <= 1
    with pytest.raises(DataError, match=r"cannot read .*gone\.json: No such file"):
        prepare_coco(source, tmp_path, train="gone.json")


def test_one_file_is_cut_by_image(source, tmp_path):
    content = coco_document(0, 6)
    content["annotations"][5]["image_id"] = 14
    write_annotations(source / "all.json", content)
    options = {"annotations": "all.json", "ratios": (0.6, 0.2, 0.2)}
    info = prepare_coco(source, tmp_path, **options)
    assert sum(info.counts.values()) == 6 and len(info.counts) == 3
    where = {
        sample["image_id"]: split
        for split in info.counts
        for sample in read("landmarks_coco", tmp_path, split)
    }
    assert len(where) == 6 and where["a/img4"] == where["a/img4#2"]


def test_one_of_several_categories(source, tmp_path):
    for split, first in (("train", 0), ("val", 2)):
        content = coco_document(first)
        content["categories"][0]["keypoints"] = ["nose"]
        write_annotations(source / "annotations" / f"{split}.json", content)
    both = (
        r"key points are 'face' \(id 1, 0 annotations\), 'hand' \(id 3, 2 annotations\); "
        "choose one with the option category=NAME or category=ID"
    )
    with pytest.raises(DataError, match=both):
        prepare_coco(source, tmp_path)
    for category in ("hand", "3"):
        info = prepare_coco(source, tmp_path, category=category)
        assert len(info.point_names) == 3
    with pytest.raises(DataError, match=both):
        prepare_coco(source, tmp_path, category="foot")


def test_reads_the_real_samples(real_data, tmp_path):
    folder = real_data / "samples" / "coco"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    info = prepare_coco(
        folder,
        tmp_path,
        train="annotations/person_keypoints_train2017.json",
        val="annotations/person_keypoints_val2017.json",
        images="{split}2017",
    )
    assert sum(info.counts.values()) == 71
    assert info.point_names[5] == "left_shoulder" and len(info.point_lines) == 19
    pairs = tuple((k, k + 1) for k in range(1, 17, 2))
    assert info.point_flip_pairs == pairs
    document = json.loads(
        (folder / "annotations" / "person_keypoints_val2017.json").read_text()
    )
    theirs = [a for a in document["annotations"] if a["num_keypoints"]]
    for sample, annotation in zip(
        read("landmarks_coco", tmp_path, "val"), theirs, strict=True
    ):
        assert sample["annotated"].sum() == annotation["num_keypoints"]
        keypoints = np.reshape(annotation["keypoints"], (17, 3))
        marked = keypoints[:, 2] > 0
        np.testing.assert_array_equal(sample["points"][marked], keypoints[marked, :2])
        assert sample["box_size"] == pytest.approx(max(annotation["bbox"][2:]))


def test_a_normaliser_that_not_everybody_has_is_an_error(source, tmp_path):
    with pytest.raises(
        DataError,
        match=r"annotation 100: point 'tip.L' is not annotated, which .*'wrist_to_tip.L'",
    ):
        prepare_coco(source, tmp_path, normalizer="wrist:tip.L")


def test_an_image_in_two_splits_is_an_error(source, tmp_path):
    write_annotations(source / "annotations" / "val.json", coco_document(1))
    with pytest.raises(DataError, match=r"val.json: annotation 100: image 'img1.jpg'"):
        prepare_coco(source, tmp_path)


def test_all_objects_of_an_image_come_into_one_split(source, tmp_path):
    content = coco_document(0, 6)
    for number, annotation in enumerate(content["annotations"][:6]):
        annotation["image_id"] = 10 + number // 2
    write_annotations(source / "all.json", content)
    info = prepare_coco(source, tmp_path, annotations="all.json", ratios=(0.7, 0.3))
    assert info.counts == {"train": 4, "val": 2}


def test_a_skeleton_may_be_null(source, tmp_path):
    for split, first in (("train", 0), ("val", 2)):
        content = coco_document(first)
        content["categories"][1]["skeleton"] = None
        write_annotations(source / "annotations" / f"{split}.json", content)
    assert prepare_coco(source, tmp_path).point_lines == ()


def test_sizes_that_agree_or_are_not_told_are_fine(source, tmp_path):
    content = coco_document(0)
    content["images"][0] |= {"width": 40, "height": 32}
    content["images"][1] |= {"width": None, "height": None}
    write_annotations(source / "annotations" / "train.json", content)
    assert prepare_coco(source, tmp_path).counts["train"] == 2


def test_only_boxes_from_the_points_are_tight(source, tmp_path):
    assert not prepare_coco(source, tmp_path).tight_boxes
    for split, first in (("train", 0), ("val", 2)):
        content = coco_document(first)
        # That of another category stays.
        for annotation in content["annotations"][:2]:
            del annotation["bbox"]
        write_annotations(source / "annotations" / f"{split}.json", content)
    assert prepare_coco(source, tmp_path).tight_boxes


def test_one_file_to_cut_and_one_of_a_split_exclude_each_other(source, tmp_path):
    write_annotations(source / "all.json", coco_document(0))
    with pytest.raises(
        DataError, match=r"options annotations=all\.json and val=mine\.json: give one"
    ):
        prepare_coco(source, tmp_path, annotations="all.json", val="mine.json")
