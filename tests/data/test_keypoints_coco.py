"""Persons with key points in COCO's files: of COCO itself and of one's own."""

import json

import numpy as np
import pytest

from hrnet_jax.data.info import load_info
from hrnet_jax.data.records import open_records, prepared_directory
from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from tests.data import person_files as files
from tests.data.person_files import persons, prepare

COCO_CATEGORY = {
    "id": 1,
    "name": "person",
    "skeleton": [[16, 14]],
    "keypoints": [
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ],
}


@pytest.fixture
def source(tmp_path):
    return files.write_coco(tmp_path / "source")


def test_a_record_is_an_image_and_an_example_a_person(source, tmp_path):
    info = prepare("keypoints_coco", source, tmp_path, min_points=2)
    assert info.point_names == ("nose", "left_hand", "right_hand")
    assert info.point_flip_pairs == ((1, 2),) and info.point_lines == ((1, 0), (0, 2))
    assert info.counts == {"train": 3} and info.persons == {"train": 2}
    assert not info.point_sigmas and not info.head_sizes
    assert "persons 2 of train" in summarize(info)
    first, second, third = open_records("keypoints_coco", tmp_path, "train")
    # In the order of the file; images without persons are there.
    assert [s["image_number"] for s in (first, second, third)] == [12, 7, 9]
    assert first["points"].shape == (3, 3, 2) and third["points"].shape == (0, 3, 2)
    assert first["person_number"].tolist() == [100, 101, 103]
    assert second["person_crowd"].tolist() == [1]
    examples = persons("keypoints_coco", tmp_path)
    assert [one["image_id"] for one in examples] == ["a#1", "a#3"]
    one = examples[0]
    assert one["points"].tolist() == [[20, 8.5], [12, 20], [0, 0]]
    assert one["annotated"].tolist() == [1, 1, 0]
    assert one["visible"].tolist() == [1, 0, 0]
    # From the centre of the first pixel to that of the last one in the image.
    assert one["box"].tolist() == [10, 5, 29.5, 34]
    assert examples[1]["box"].tolist() == [38, 4, 59, 36]
    assert (one["area"], one["box_score"], one["head_size"]) == (400.5, 1, 0)
    assert (one["image_number"], one["person_number"]) == (12, 100)
    assert one["image"].shape == (*files.SIZE, 3)
    kinds = {key: np.asarray(value).dtype for key, value in one.items()}
    assert kinds["points"] == kinds["box"] == kinds["area"] == np.float64
    assert kinds["image_number"] == kinds["person_number"] == np.int64


def test_numbers_are_kept_to_the_last_digit(source, tmp_path):
    x = 12.345678901234567
    content = files.document(0, keypoints=[x, 8, 2, 12, 20, 1, 0, 0, 0])
    files.write_coco(source, content)
    prepare("keypoints_coco", source, tmp_path)
    assert persons("keypoints_coco", tmp_path)[0]["points"][0, 0] == x


def test_the_category_may_tell_pairs_and_sigmas(source, tmp_path):
    content = files.document()
    content["categories"][0] |= {"flip_pairs": [[2, 3]], "sigmas": [0.03, 0.06, 0.06]}
    files.write_coco(source, content)
    info = prepare("keypoints_coco", source, tmp_path)
    assert info.point_flip_pairs == ((1, 2),)
    assert info.point_sigmas == (0.03, 0.06, 0.06)
    info = prepare("keypoints_coco", source, tmp_path, sigmas=(0.05,))
    assert info.point_sigmas == (0.05, 0.05, 0.05)
    content["categories"][0]["flip_pairs"] = []
    files.write_coco(source, content)
    assert not prepare("keypoints_coco", source, tmp_path).point_flip_pairs


def test_what_tools_leave_out_is_derived_and_counted(source, tmp_path):
    content = files.document(0, drop=["num_keypoints", "area", "bbox"])
    for number, image in enumerate(content["images"]):
        image["id"] = f"image {number}"
    for annotation in content["annotations"]:
        number = {12: 0, 7: 1, 9: 2}[annotation["image_id"]]
        annotation["image_id"] = f"image {number}"
    files.write_coco(source, content)
    info = prepare("keypoints_coco", source, tmp_path, num_keypoints="derive")
    one = persons("keypoints_coco", tmp_path)[0]
    assert one["box"].tolist() == [12, 8.5, 20, 20] and one["area"] == 8 * 11.5
    assert one["image_number"] == 1
    assert {what for _, what, _ in info.findings} == {
        "boxes around the points, as there is no bbox",
        "areas of the boxes, as the annotation has none",
        "num_keypoints, counted as v > 0",
        "images numbered in their order, as ids are no numbers",
    }


def test_one_file_is_cut_by_image(source, tmp_path):
    info = prepare(
        "keypoints_coco",
        source,
        tmp_path,
        annotations="annotations/train.json",
        ratios=(0.6, 0.4),
    )
    assert info.counts == {"train": 2, "val": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            files.document(0, drop=["num_keypoints"]),
            (
                r"train\.json: annotation 100 has 'keypoints' but no 'num_keypoints'; "
                r"expected the number of points with v > 0 \(2\), or say num_keypoints=der"
            ),
        ),
        (
            files.document(0, num_keypoints=3),
            r"annotation 100: 'num_keypoints' is 3, but 2 points have v > 0",
        ),
        (
            files.document(0, keypoints=[1, 2, 2] * 4, num_keypoints=4),
            r"annotation 100: 'keypoints' has 12 numbers, expected 9: x, y and v of 3",
        ),
        (
            files.document(0, bbox=[10, 5, 0, 30]),
            r"annotation 100: the box of the person, \[10, 5, 0, 30\], has size 0 x 29",
        ),
        (
            files.document(0, bbox=[70, 5, 10, 30]),
            r"annotation 100: the box of the person, .* has size 0 x 29 in its image",
        ),
    ],
)
def test_what_is_wrong_with_a_person_is_named(content, message, source, tmp_path):
    files.write_coco(source, content)
    with pytest.raises(DataError, match=message):
        prepare("keypoints_coco", source, tmp_path)


@pytest.mark.parametrize(
    ("category", "options", "message"),
    [
        (
            {"keypoints": ["left_eye", "right_eye", "left_ear"]},
            {"flip_pairs": ("right_eye:left_ear",)},
            r"flip pairs: 'right_eye' swaps with 'left_ear', but by the names with 'left",
        ),
        (
            {"flip_pairs": [["left_hand", "nose"]]},
            {},
            r"flip pairs: 'left_hand' swaps with 'nose', but by the names with 'right_h",
        ),
        (
            {"flip_pairs": [[1, 4]]},
            {},
            r"flip_pairs of the category has \[1, 4\], expected two names .*1\.\.3",
        ),
        ({"sigmas": [0.1]}, {}, r"sigmas of the category is \[0\.1\], expected 3 numb"),
        ({}, {"sigmas": (0.1, 0.1)}, r"option sigmas=0\.1,0\.1: expected one number"),
        ({}, {"num_keypoints": "any"}, "option num_keypoints=any: expected derive"),
    ],
)
def test_a_wrong_skeleton_is_named(category, options, message, source, tmp_path):
    content = files.document()
    content["categories"][0] |= category
    files.write_coco(source, content)
    with pytest.raises(DataError, match=message):
        prepare("keypoints_coco", source, tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("annotations/person_keypoints_train2017.json", "train2017"),
        ("train/_annotations.coco.json", "train"),
        ("annotations/person_keypoints_default.json", "images/default"),
        ("annotations/person_keypoints_train.json", "images"),
    ],
    ids=["coco", "roboflow", "cvat", "mmpose"],
)
def test_folders_of_tools(name, images, tmp_path):
    source = files.write_coco(tmp_path / "source", name=name, images=images)
    info = prepare("keypoints_coco", source, tmp_path)
    assert sum(info.counts.values()) == 3 and sum(info.persons.values()) == 2


def write_official(folder, split="train", **changes):
    content = files.document(0, **changes)
    content["categories"] = [COCO_CATEGORY]
    for annotation in content["annotations"]:
        count = annotation["num_keypoints"]
        points = {k: (20 + k, 10, 2) for k in range(count)}
        annotation["keypoints"] = files.coco17(points)
    name = f"annotations/person_keypoints_{split}2017.json"
    return files.write_coco(folder, content, name, f"{split}2017")


def test_the_layout_of_coco_with_its_test_images(tmp_path):
    source = write_official(tmp_path / "coco")
    # Nothing is learnt from what the published code leaves out.
    write_official(tmp_path / "coco", "val", area=0)
    images = {"images": files.DOCUMENT["images"]}
    path = source / "annotations/image_info_test-dev2017.json"
    path.write_text(json.dumps(images))
    for letter in "abc":
        files.write_image(source / f"test2017/{letter}.jpg")
    info = prepare("coco_keypoints", source, tmp_path)
    assert info.counts == {"train": 3, "val": 3, "test": 3}
    assert info.persons == {"train": 2, "val": 1, "test": 0}
    assert info.default_splits == {"train": "train", "eval": "val"}
    assert len(info.point_sigmas) == 17 and info.point_sigmas[11] == 0.107
    assert info.point_category == 1
    with pytest.raises(
        DataError, match=r"split 'test' of data set 'coco_keypoints' has no person"
    ):
        persons("coco_keypoints", tmp_path, "test")


def test_files_that_are_not_cocos_are_refused(tmp_path):
    folder = tmp_path / "coco"
    with pytest.raises(DataError, match=r"has none of .*person_keypoints_train2017"):
        files.write_coco(folder, name="annotations/other.json")
        prepare("coco_keypoints", folder, tmp_path)
    files.write_coco(folder, name="annotations/person_keypoints_train2017.json")
    with pytest.raises(DataError, match="which are not the 17 of COCO; for key points"):
        prepare("coco_keypoints", folder, tmp_path)


def test_the_real_samples(real_data, tmp_path):
    folder = real_data / "samples" / "coco"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    info = prepare("coco_keypoints", folder, tmp_path)
    assert sum(info.persons.values()) == 71
    assert load_info(prepared_directory("coco_keypoints", tmp_path)) == info
    path = folder / "annotations" / "person_keypoints_val2017.json"
    document = json.loads(path.read_text())
    theirs = {a["id"]: a for a in document["annotations"]}
    examples = persons("coco_keypoints", tmp_path, "val")
    assert len(examples) == sum(a["num_keypoints"] > 0 for a in theirs.values())
    sizes = {i["id"]: (i["height"], i["width"]) for i in document["images"]}
    for one in examples:
        annotation = theirs[int(one["person_number"])]
        assert one["image_number"] == annotation["image_id"]
        assert one["area"] == annotation["area"]
        keypoints = np.reshape(annotation["keypoints"], (17, 3))
        np.testing.assert_array_equal(one["annotated"], keypoints[:, 2] > 0)
        np.testing.assert_array_equal(one["visible"], keypoints[:, 2] == 2)
        np.testing.assert_array_equal(one["points"], keypoints[:, :2])
        # The rule of the published code, written out.
        x, y, w, h = annotation["bbox"]
        height, width = sizes[annotation["image_id"]]
        x1, y1 = max(0, x), max(0, y)
        x2, y2 = min(width - 1, x1 + max(0, w - 1)), min(height - 1, y1 + max(0, h - 1))
        np.testing.assert_allclose(one["box"], [x1, y1, x2, y2])
    truth = examples.truth()
    assert len(truth.persons.image) == len(theirs) and len(truth.image_numbers) == 8
