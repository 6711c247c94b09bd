"""COCO files as labelling tools write them: what is derived, counted, or asked."""

import copy
import json

import pytest

from hrnet_jax.errors import DataError
from tests.data.landmark_files import (
    prepare,
    read,
    write_annotations,
    write_image,
)

NAMES = ["wrist", "tip.L", "tip.R"]


def content(count=2, first=0):
    """One hand on each of some images; the least that can be read."""
    return {
        "images": [{"id": k, "file_name": f"img{first + k}.jpg"} for k in range(count)],
        "categories": [{"id": 0, "keypoints": NAMES}],
        "annotations": [
            {
                "image_id": k,
                "category_id": 0,
                "keypoints": [5, 6.5, 2, 0, 0, 0, 20 + k, 21, 1],
            }
            for k in range(count)
        ],
    }


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "mine"
    for k in range(4):
        write_image(folder / "images" / f"img{k}.jpg")
    write_annotations(folder / "annotations" / "train.json", content())
    return folder


def prepared(source, tmp_path, document, **options):
    write_annotations(source / "annotations" / "train.json", document)
    return prepare("landmarks_coco", source, tmp_path, **options)


def samples(tmp_path, split="train"):
    return read("landmarks_coco", tmp_path, split)


def findings(info):
    return {what: count for _, what, count in info.findings}


NO_BOX = "boxes around the points, as there is no bbox"


def test_the_least_that_a_file_must_hold(source, tmp_path):
    info = prepared(source, tmp_path, content())
    assert info.counts == {"train": 2} and info.point_names == tuple(NAMES)
    assert info.point_lines == () and info.tight_boxes
    assert findings(info) == {NO_BOX: 2}
    assert samples(tmp_path)[1]["points"].tolist() == [[5, 6.5], [0, 0], [21, 21]]


@pytest.mark.parametrize(
    "categories", [[], None, [{"id": 0, "name": "hand"}], [{"id": 0, "keypoints": []}]]
)
def test_points_without_names_are_numbered(categories, source, tmp_path):
    document = content()
    document["categories"] = categories
    if categories is None:
        del document["categories"]
    with pytest.raises(
        DataError, match=r"points point_0, point_1, point_2 .*flip_pairs"
    ):
        prepared(source, tmp_path, document)
    info = prepared(source, tmp_path, document, flip_pairs=("point_1:point_2",))
    assert info.point_names == ("point_0", "point_1", "point_2")
    numbered = "key points are named by their numbers, as the category names none"
    assert findings(info) == {numbered: 3, NO_BOX: 2}


def test_numbers_of_points_that_differ_need_names(source, tmp_path):
    document = content() | {"categories": []}
    document["annotations"][1]["keypoints"] = [1, 2, 2]
    with pytest.raises(
        DataError,
        match=r"category '0' has no 'keypoints' .* have 3, 9 numbers, expected",
    ):
        prepared(source, tmp_path, document)


@pytest.mark.parametrize(
    ("of_images", "of_annotations"),
    [
        ((5, 900), ("5", "900")),
        (("a-1", " b"), ("a-1", "b")),
        ((7.0, 2**70), (7, 2**70)),
        (("7", "8"), (7.0, 8)),
    ],
)
def test_ids_are_numbers_or_texts_with_gaps(
    of_images, of_annotations, source, tmp_path
):
    document = content()
    for k in range(2):
        document["images"][k]["id"] = of_images[k]
        document["annotations"][k] |= {
            "image_id": of_annotations[k],
            "category_id": "0",
        }
    prepared(source, tmp_path, document)
    assert [s["image_id"] for s in samples(tmp_path)] == ["img0", "img1"]


def test_doubled_ids(source, tmp_path):
    document = content()
    for annotation in document["annotations"]:
        annotation["id"] = 4
    document["annotations"].append(copy.deepcopy(document["annotations"][0]))
    document["images"].append(copy.deepcopy(document["images"][0]))
    info = prepared(source, tmp_path, document)
    assert info.counts == {"train": 2}
    assert findings(info) == {
        "entries of 'images' that are there twice, left out": 1,
        "annotations with the id of another": 1,
        "annotations that are there twice, left out": 1,
        NO_BOX: 2,
    }
    document["images"][2]["file_name"] = "img2.jpg"
    with pytest.raises(
        DataError,
        match=r"entry 3 of 'images' has the id 0 of 'img0\.jpg' too; expected",
    ):
        prepared(source, tmp_path, document)


@pytest.mark.parametrize(
    "name",
    [
        "a/img 0.jpg",
        "./a/img 0.jpg",
        r"a\img 0.jpg",
        "a/img%200.jpg",
        r"a\img%200.jpg",
        "images/a/img 0.jpg",
        r"D:\sets\hands\images\a\img 0.jpg",
        "/home/me/hands/a/img 0.jpg",
        "file:///home/me/hands/a/img%200.jpg",
        "/data/local-files/?d=hands/a/img%200.jpg",
        "../images/a/img 0.jpg",
        "{source}/images/a/img 0.jpg",
    ],
)
def test_names_of_images_from_other_machines(name, source, tmp_path):
    (source / "images" / "a").mkdir()
    (source / "images" / "img0.jpg").rename(source / "images" / "a" / "img 0.jpg")
    document = content()
    document["images"][0]["file_name"] = name.format(source=source)
    prepared(source, tmp_path, document)
    assert [s["image_id"] for s in samples(tmp_path)] == ["a/img 0", "img1"]


def test_a_name_with_a_percent_sign_is_itself_first(source, tmp_path):
    write_image(source / "images" / "img%200.jpg", seed=9)
    write_image(source / "images" / "img 0.jpg", seed=3)
    document = content()
    document["images"][0]["file_name"] = "img%200.jpg"
    prepared(source, tmp_path, document)
    assert samples(tmp_path)[0]["image_id"] == "img%200"


def test_a_name_that_cannot_be_one_is_an_error(source, tmp_path):
    for name in ("a\0.jpg", "\ud800.jpg", "..\\", None, 7):
        document = content()
        document["images"][0]["file_name"] = name
        with pytest.raises(DataError, match=r"entry 1 of 'images'.* (called|has no) "):
            prepared(source, tmp_path, document)
    document["images"][0]["file_name"] = "x" * 5000 + ".jpg"
    with pytest.raises(
        DataError, match=r"annotation number 1 names .*, not found \(1 of"
    ):
        prepared(source, tmp_path, document)


def test_reads_the_layout_of_roboflow(source, tmp_path):
    (source / "annotations" / "train.json").unlink()
    for split, first in (("train", 0), ("valid", 2)):
        document = content(first=first)
        document["categories"].insert(0, {"id": 7, "name": "hands"})
        write_annotations(source / split / "_annotations.coco.json", document)
        for k in range(first, first + 2):
            (source / "images" / f"img{k}.jpg").rename(source / split / f"img{k}.jpg")
    info = prepare("landmarks_coco", source, tmp_path)
    assert info.counts == {"train": 2, "val": 2}
    assert [s["image_id"] for s in samples(tmp_path, "val")] == ["img2", "img3"]


def test_files_of_other_names_are_listed(source, tmp_path):
    for name in ("person_keypoints_default", "b", "c", "d", "e"):
        write_annotations(source / "annotations" / f"{name}.json", {})
    (source / "annotations" / "train.json").unlink()
    message = r"or annotations \(there is annotations/b\.json, .*/e\.json, and 1 more\)"
    with pytest.raises(DataError, match=message):
        prepare("landmarks_coco", source, tmp_path)


def test_v_of_1_alone_is_asked_about(source, tmp_path):
    document = content()
    for annotation in document["annotations"]:
        annotation["keypoints"][2] = 1
    message = (
        r"annotation number 1: v of all its points is 0 or 1, .* v1=seen .*v1=hidden"
    )
    with pytest.raises(DataError, match=message):
        prepared(source, tmp_path, document)
    for v1, visible in (("seen", [1, 0, 1]), ("hidden", [0, 0, 0])):
        prepared(source, tmp_path, document, v1=v1)
        assert samples(tmp_path)[0]["visible"].tolist() == visible
    # One v of 2 in any file tells that v has the meaning of COCO.
    write_annotations(source / "annotations" / "val.json", content(first=2))
    prepared(source, tmp_path, document)
    assert samples(tmp_path)[0]["visible"].tolist() == [0, 0, 0]
    with pytest.raises(DataError, match="option v1=1: expected one of hidden, seen"):
        prepared(source, tmp_path, document, v1="1")


def test_points_at_0_0_are_asked_about(source, tmp_path):
    document = content()
    document["annotations"][1]["keypoints"][3:6] = [0, 0, 1]
    with pytest.raises(
        DataError,
        match=r"annotation number 2: point 'tip\.L' is at 0, 0; say zeros=miss",
    ):
        prepared(source, tmp_path, document)
    for zeros, annotated in (("missing", [1, 0, 1]), ("points", [1, 1, 1])):
        prepared(source, tmp_path, document, zeros=zeros)
        assert samples(tmp_path)[1]["annotated"].tolist() == annotated


def test_x_and_y_of_points_that_are_not_annotated_do_not_count(source, tmp_path):
    document = content()
    document["annotations"][0]["keypoints"][3:6] = [None, float("nan"), 0]
    document["annotations"][1]["keypoints"][3:6] = [-7, 9e99, 0]
    prepared(source, tmp_path, document)
    for sample in samples(tmp_path):
        assert sample["points"][1].tolist() == [0, 0]
        assert sample["annotated"].tolist() == [1, 0, 1]


def test_boxes_that_are_missing_are_around_the_points(source, tmp_path):
    document = content(4)
    boxes = ([2, 3, 30, 20.5], None, [], [0, 0, 0, 0])
    for annotation, bbox in zip(document["annotations"], boxes, strict=True):
        annotation["bbox"] = bbox
    info = prepared(source, tmp_path, document)
    assert findings(info) == {NO_BOX: 3} and not info.tight_boxes
    assert [s["box_size"] for s in samples(tmp_path)] == [30, 16, 17, 18]


def test_a_box_may_leave_the_image(source, tmp_path):
    document = content()
    document["annotations"][0]["bbox"] = [-10, -5.5, 90, 80]
    prepared(source, tmp_path, document)
    assert samples(tmp_path)[0]["center"].tolist() == [35, 34.5]


def test_annotations_with_few_points(source, tmp_path):
    document = content()
    document["annotations"][1] |= {"keypoints": [0] * 6 + [9, 9, 2], "id": 8}
    message = (
        r"annotation 8 has only one annotated point and no box; give 'bbox', or leave"
    )
    with pytest.raises(DataError, match=message):
        prepared(source, tmp_path, document)
    info = prepared(source, tmp_path, document, min_points=2)
    assert findings(info) == {
        "annotations with fewer than 2 key points, left out": 1,
        "images without key points, left out": 1,
        NO_BOX: 1,
    }


def test_sizes_that_cannot_be_are_not_told(source, tmp_path):
    document = content()
    for image, side in zip(document["images"], (0, -1), strict=True):
        image |= {"width": side, "height": side}
    assert prepared(source, tmp_path, document).counts == {"train": 2}


def test_the_category_is_derived_where_there_is_one(source, tmp_path):
    document = content()
    del document["annotations"][0]["category_id"]
    info = prepared(source, tmp_path, document)
    derived = "annotations without category_id, taken for '0'"
    assert info.counts == {"train": 2} and findings(info)[derived] == 1
    document["categories"].append({"id": 1, "name": "face"})
    with pytest.raises(
        DataError,
        match="annotation number 1 has no 'category_id', and the file has sev",
    ):
        prepared(source, tmp_path, document)


def test_a_skeleton_may_count_from_0(source, tmp_path):
    document = content()
    document["categories"][0]["skeleton"] = [[0, 1], [0, 2]]
    info = prepared(source, tmp_path, document)
    assert info.point_lines == ((0, 1), (0, 2))
    assert findings(info)["pairs of the skeleton that count points from 0"] == 2
    document["categories"][0]["skeleton"].append([1, 3])
    with pytest.raises(
        DataError, match=r"skeleton \[1, 3\] joins points outside 0\.\.2"
    ):
        prepared(source, tmp_path, document)


def test_num_keypoints_that_contradict_are_counted(source, tmp_path):
    document = content()
    document["annotations"][0]["num_keypoints"] = 2
    document["annotations"][1]["num_keypoints"] = 0
    info = prepared(source, tmp_path, document)
    what = "num_keypoints that is not the number of points with v > 0"
    assert info.counts == {"train": 2} and findings(info)[what] == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(encoding, source, tmp_path):
    path = source / "annotations" / "train.json"
    path.write_bytes(json.dumps(content()).replace("wrist", "Händ").encode(encoding))
    info = prepare("landmarks_coco", source, tmp_path)
    assert info.point_names[0] == "Händ"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "train.json is not valid JSON: it is nested too deeply"),
        ("1" * 5000, "train.json is not valid JSON: Exceeds the limit"),
        ("[]", "train.json has no list 'images'"),
    ],
)
def test_names_what_is_no_json_of_objects(text, message, source, tmp_path):
    (source / "annotations" / "train.json").write_text(text)
    with pytest.raises(DataError, match=message):
        prepare("landmarks_coco", source, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": None}, "annotation 5 has no 'image_id'"),
        ({"image_id": True}, "annotation 5 is on image True, which is not listed"),
        ({"keypoints": {}}, "annotation 5: 'keypoints' is {}, expected a list"),
        (
            {"keypoints": [1, 2, True] * 3},
            "annotation 5, key point 0: visibility v is True, expected 0, 1 or 2",
        ),
        (
            {"keypoints": [1e12, 2, 2] * 3},
            "annotation 5, key point 0 x: 1000000000000.0 is not a finite number of pix",
        ),
        (
            {"bbox": [1, 2, 3, 10**400]},
            r"annotation 5: bbox is \[1, 2, 3, 10+\.\.\., exp",
        ),
        (
            {"bbox": [1, 2, -3, 4]},
            r"annotation 5: the box from \(1, 2\) to \(-2, 6\) has",
        ),
    ],
)
def test_names_annotation_and_key(changes, message, source, tmp_path):
    document = content()
    document["annotations"][1] |= {"id": 5} | changes
    with pytest.raises(DataError, match=message):
        prepared(source, tmp_path, document)
