"""COCO key points with a mistake: the error names file, annotation and key."""

import pytest

from hrnet_jax.errors import DataError
from tests.data.landmark_files import (
    coco_document,
    prepare_coco,
    write_annotations,
    write_coco,
)


@pytest.fixture
def source(tmp_path):
    return write_coco(tmp_path / "mine")


def with_annotation(**values):
    def change(content):
        content["annotations"][1] |= values

    return change


def with_category(**values):
    def change(content):
        content["categories"][1] |= values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content.pop("annotations"),
            r"train\.json has no list 'annotations'; COCO key points have",
        ),
        (
            lambda content: content.update(
                categories=[{"id": 3, "name": "hand"}], annotations=[]
            ),
            r"train\.json has no category with 'keypoints' \(a list of their names\), and",
        ),
        (
            lambda content: content.update(annotations=[]),
            r"train\.json has no annotation with key points",
        ),
        (
            with_category(keypoints=["wrist", "wrist", "tip"]),
            r"train\.json: key point 'wrist' is named twice",
        ),
        (
            with_category(skeleton=[[1, 4]]),
            r"train\.json: skeleton \[1, 4\] joins points outside 1\.\.3",
        ),
        (
            with_category(keypoints=["wrist", "tip.L", "nail"]),
            r"val\.json has 3 key points .*'tip\.R'\], .*train\.json has 3: .*'nail'",
        ),
        (
            with_annotation(keypoints=[1, 2, 2]),
            r"train\.json: annotation 101: 'keypoints' has 3 numbers, expected 9: x,",
        ),
        (
            with_annotation(keypoints=[1, 2, 2, 3, float("nan"), 2, 0, 0, 0]),
            r"annotation 101, key point 1 y: nan is not a finite number",
        ),
        (
            with_annotation(keypoints=[1, 2, 2, None, 3, 2, 0, 0, 0]),
            r"annotation 101, key point 1 x: None is not a finite number",
        ),
        (
            with_annotation(keypoints=[1, 2, 5, 3, 3, 2, 0, 0, 0]),
            r"annotation 101, key point 0: visibility v is 5, expected 0, 1 or 2",
        ),
        (
            with_annotation(bbox=[4, 5, 0, 3]),
            r"annotation 101: the box from \(4, 5\) to \(4, 8\) has size 0 x 3; expected",
        ),
        (
            with_annotation(bbox=[4, 5, 3]),
            r"annotation 101: bbox is \[4, 5, 3\], expected \[x, y, width, height\]",
        ),
        (
            with_annotation(image_id=77),
            r"annotation 101 is on image 77, which is not listed under 'images'",
        ),
        (
            lambda content: content["images"][1].update(file_name="gone.jpg"),
            r"annotation 101 names .*images/gone\.jpg, not found \(1 of 2 in 'train'\)",
        ),
        (
            lambda content: content["images"][0].pop("file_name"),
            r"train\.json: entry 1 of 'images' has no 'file_name'",
        ),
    ],
)
def test_names_what_is_wrong(change, message, source, tmp_path):
    content = coco_document(0)
    change(content)
    write_annotations(source / "annotations" / "train.json", content)
    with pytest.raises(DataError, match=message):
        prepare_coco(source, tmp_path)


def test_names_a_broken_or_absent_file(source, tmp_path):
    path = source / "annotations" / "train.json"
    path.write_text('{"images": [')
    with pytest.raises(DataError, match=r"train\.json is not valid JSON"):
        prepare_coco(source, tmp_path)
    path.unlink()
    (source / "annotations" / "val.json").unlink()
    with pytest.raises(DataError, match=r"has none of annotations/train\.json, .*name"):
        prepare_coco(source, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["images"].append(7),
            "entry 3 of 'images' is 7, expected an object",
        ),
        (lambda c: c["categories"][1].pop("id"), "the category 'hand' has no 'id'"),
        (
            lambda c: c["images"][0].update(file_name=""),
            r"train\.json: entry 1 of 'images': the image is called '', expected the name",
        ),
        (
            lambda c: c["images"][1].update(file_name=5),
            r"entry 2 of 'images': the image is called 5, expected the name of a file",
        ),
        (
            lambda c: c["images"][1].update(id=[1]),
            r"of 'images': 'id' is \[1\], expected a number",
        ),
        (
            lambda c: c["annotations"][0].update(image_id=[1]),
            r"annotation 100 is on image \[1\], which is not listed",
        ),
        (
            lambda c: c["annotations"][0].update(keypoints="5 6 2"),
            r"annotation 100: 'keypoints' is '5 6 2', expected a list",
        ),
        (
            lambda c: c["annotations"][0].update(bbox=7),
            r"annotation 100: bbox is 7, expected \[x, y, width, height\]",
        ),
        (
            lambda c: c["categories"][1].update(keypoints="wrist"),
            r"'keypoints' of the category is 'wrist', expected a list of names",
        ),
        (
            lambda c: c["categories"][1].update(skeleton=[7]),
            r"train\.json: skeleton has 7, expected two numbers",
        ),
        (
            lambda c: c["categories"][1].update(skeleton={"a": 1}),
            r"train\.json: skeleton is {'a': 1}, expected a list of pairs",
        ),
        (
            lambda c: c["images"][1].update(width=32, height=40),
            r"annotation 101 is for an image of 32x40 pixels, but .*img1\.jpg is 40x32",
        ),
        (
            lambda c: c["annotations"][0].update(bbox=[900, 5, 20, 20]),
            r"annotation 100: the face box, 20 pixels around \(910, 15\), is no part",
        ),
        (
            lambda c: c["annotations"][0].update(bbox=[0.1, 0.2, 0.5, 0.4]),
            "the face box, 0.5 pixels around",
        ),
    ],
)
def test_names_what_is_no_key_point_file(change, message, source, tmp_path):
    content = coco_document(0)
    change(content)
    write_annotations(source / "annotations" / "train.json", content)
    with pytest.raises(DataError, match=message):
        prepare_coco(source, tmp_path)
