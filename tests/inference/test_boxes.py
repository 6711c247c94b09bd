"""Boxes of faces: files of every format, images named loosely, wrong entries."""

import json
import pathlib

import numpy as np
import pytest

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import box_of_points, check_inside, overlaps, whole_image
from hrnet_jax.inference.boxes import boxes_for, match_boxes, read_boxes

ONE, TWO = [10, 20, 60, 70], [80.5, 20, 120, 61]


def written(tmp_path, content, name="boxes.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def assert_boxes(found, expected):
    assert found.keys() == expected.keys()
    for name, boxes in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], np.array(boxes).reshape(-1, 4))


FORMATS = {
    "mapping": {"a.jpg": [ONE, TWO], "b.jpg": []},
    "list of boxes": [{"image": "a.jpg", "boxes": [ONE, TWO]}]
    + [{"image": "b.jpg", "boxes": []}],
    "list of one box": [{"image": "a.jpg", "box": ONE}, {"image": "a.jpg", "box": TWO}]
    + [{"image": "b.jpg", "boxes": []}],
    "summary": {
        "model": "landmarks/w18",
        "images": [
            {"image": "a.jpg", "found": [{"box": ONE}, {"box": TWO, "points": []}]},
            {"image": "b.jpg", "found": []},
        ],
    },
}


@pytest.mark.parametrize("name", FORMATS)
def test_reads_every_json_format(name, tmp_path):
    expected = {"a.jpg": [ONE, TWO], "b.jpg": []}
    assert_boxes(read_boxes(written(tmp_path, FORMATS[name])), expected)


def test_a_single_box_stands_for_itself(tmp_path):
    found = read_boxes(written(tmp_path, {"a.jpg": ONE}))
    assert_boxes(found, {"a.jpg": [ONE]})


@pytest.mark.parametrize("order", ["image,x1,y1,x2,y2", "x1,y1,x2,y2,image"])
def test_reads_csv_by_its_header(order, tmp_path):
    rows = [("a.jpg", *ONE), ("b, c.jpg", *ONE), ("a.jpg", *TWO)]
    lines = [order]
    for name, *box in rows:
        cells = [f'"{name}"', *map(str, box)]
        lines.append(
            ",".join(cells if order.startswith("image") else cells[1:] + cells[:1])
        )
    path = written(tmp_path, "\n".join(lines) + "\n\n", "boxes.csv")
    assert_boxes(read_boxes(path), {"a.jpg": [ONE, TWO], "b, c.jpg": [ONE]})


# name: (file, content, what the message says)
REFUSED = {
    "suffix": ("boxes.txt", "", "boxes.txt: boxes are read from files ending in .json"),
    "missing": ("gone/boxes.json", None, "cannot read {path}: No such file"),
    "missing table": ("gone/boxes.csv", None, "cannot read {path}: No such file"),
    "no json": ("boxes.json", "a.jpg 1 2", "{path} is not valid JSON: Expecting"),
    "empty": ("boxes.json", {}, "{path} holds no boxes"),
    "number": ("boxes.json", 3, "{path}: expected {{"),
    "text for boxes": (
        "boxes.json",
        {"a.jpg": "1 2 3 4"},
        "{path}, entry 'a.jpg' (a.jpg): boxes are '1 2 3 4', expected {{",
    ),
    "three numbers": (
        "boxes.json",
        {"a.jpg": [ONE, [1, 2, 3]]},
        "{path}, entry 'a.jpg' (a.jpg), box 1: [1, 2, 3], expected four finite numbers",
    ),
    "not a number": (
        "boxes.json",
        '[{"image": "a.jpg", "box": [1, 2, NaN, 4]}]',
        "{path}, entry 0 (a.jpg), box 0: [1, 2, nan, 4], expected four finite numbers",
    ),
    "word": (
        "boxes.json",
        {"a.jpg": [["1", 2, 3, 4]]},
        "box 0: ['1', 2, 3, 4], expected four finite numbers",
    ),
    "no size": (
        "boxes.json",
        {"a.jpg": [ONE, [5, 5, 5, 9]]},
        "box 1: [5, 5, 5, 9] has no size, expected x1 < x2 and y1 < y2",
    ),
    "width and height": (
        "boxes.csv",
        "image,x1,y1,x2,y2\na.jpg,10,20,60,70\nb.jpg,100,90,40,40\n",
        "{path}, line 3 (b.jpg), box 0: [100.0, 90.0, 40.0, 40.0] has no size",
    ),
    "no image": (
        "boxes.json",
        [{"image": "a.jpg", "box": ONE}, {"box": ONE}],
        "{path}, entry 1: no image is named, expected {{",
    ),
    "image without a name": (
        "boxes.csv",
        "image,x1,y1,x2,y2\n,10,20,60,70\n",
        "{path}, line 2: the image is called '', expected the name of a file",
    ),
    "no boxes": (
        "boxes.json",
        [{"image": "a.jpg"}],
        "{path}, entry 0 (a.jpg): no boxes, expected {{",
    ),
    "no header": (
        "boxes.csv",
        "a.jpg,10,20,60,70\n",
        "{path}, line 1: 'a.jpg,10,20,60,70', expected the header image,x1,y1,x2,y2",
    ),
    "empty table": ("boxes.csv", "\n", "{path}, line 1: '', expected the header"),
    "header alone": ("boxes.csv", "image,x1,y1,x2,y2\n", "{path} holds no boxes"),
    "short row": (
        "boxes.csv",
        "image,x1,y1,x2,y2\na.jpg,10,20,60\n",
        "{path}, line 2: 4 cells, expected 5",
    ),
    "word in a table": (
        "boxes.csv",
        "image,x1,y1,x2,y2\na.jpg,10,20,x,60\n",
        "{path}, line 2, column 'x2': 'x' is not a finite number",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_is_one_clear_error(case, tmp_path):
    name, content, message = REFUSED[case]
    path = tmp_path / name
    if content is not None:
        written(tmp_path, content, name)
    with pytest.raises(DataError) as caught:
        read_boxes(path)
    assert message.format(path=path) in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "{folder}/photos/a/face.jpg",
        "photos/a/face.jpg",
        "./photos/a/face.jpg",
        "../photos/a/face.jpg",
        "a/face.jpg",
        "face.jpg",
        "face",
        "a/face",
    ],
)
def test_images_are_named_by_path_file_name_or_stem(key, tmp_path):
    image = tmp_path / "photos" / "a" / "face.jpg"
    boxes = {"other.jpg": np.ones((1, 4)), key.format(folder=tmp_path): np.eye(4)}
    np.testing.assert_array_equal(boxes_for(image, boxes), np.eye(4))


def test_a_relative_path_is_one_from_here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    boxes = {"../photos/face.jpg": np.eye(4), "face.jpg": np.ones((1, 4))}
    assert len(boxes_for("../photos/face.jpg", boxes)) == 4
    assert len(boxes_for(tmp_path / "photos" / "face.jpg", boxes)) == 4
    assert len(boxes_for("face.jpg", boxes)) == 1


def test_the_most_exact_name_counts():
    keys = ["face", "face.jpg", "a/face", "a/face.jpg"]
    for count in range(1, 5):
        boxes = {key: np.zeros((index, 4)) for index, key in enumerate(keys[:count])}
        assert len(boxes_for("photos/a/face.jpg", boxes)) == count - 1


def test_another_suffix_is_another_image():
    with pytest.raises(DataError, match=r"^no boxes for face.jpg; there are some for"):
        boxes_for("face.jpg", {"face.png": np.eye(4)})


def test_matches_every_image_with_its_entry():
    boxes = {"a/x": np.zeros((0, 4)), "x.jpg": np.ones((1, 4)), "y.png": np.eye(4)}
    found = match_boxes(["p/a/x.jpg", "p/b/x.jpg", pathlib.Path("y.png")], boxes)
    assert {str(path): len(value) for path, value in found.items()} == {
        "p/a/x.jpg": 0,
        "p/b/x.jpg": 1,
        "y.png": 4,
    }


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["a.jpg", "c.jpg"], "no boxes for c.jpg; there are some for a.jpg, b.jpg"),
        (["p/a.jpg", "q/a.jpg"], "boxes of 'a.jpg' fit p/a.jpg and q/a.jpg; name them"),
    ],
)
def test_every_image_has_one_entry(images, message):
    boxes = dict.fromkeys(["a.jpg", "b.jpg", "d.jpg", "e.jpg", "f.jpg"], np.eye(4))
    with pytest.raises(DataError) as caught:
        match_boxes(images, boxes)
    assert str(caught.value).startswith(message)


def test_entries_of_other_images_are_left_alone():
    boxes = dict.fromkeys(["a.jpg", "b.jpg"], np.eye(4))
    assert list(match_boxes(["p/a.jpg"], boxes)) == [pathlib.Path("p/a.jpg")]


def test_a_box_may_reach_beyond_its_image_but_not_lie_outside():
    image = np.zeros((40, 60, 3), np.uint8)
    inside = np.array([[-20, -20, 5, 5], [59, 39, 90, 90]], np.float32)
    assert check_inside(inside, image, "a.jpg") is inside
    for box in ([60, 0, 70, 9], [0, 40, 9, 50], [-9, 0, -1, 9], [0, -9, 9, -1]):
        with pytest.raises(DataError, match="a.jpg: box .* is outside the image of 6"):
            check_inside(np.array([[0, 0, 9, 9], box]), image, "a.jpg")


def test_the_box_of_a_whole_image_ends_where_its_pixels_do():
    assert whole_image(np.zeros((40, 60, 3))).tolist() == [[-0.5, -0.5, 59.5, 39.5]]


def test_the_box_of_points_is_that_of_the_published_lists():
    points = np.array([[10.4, 20.0], [30.2, 29.5], [15.0, 24.0]])
    # x 10..31, y 20..30: side 21 around (20.5, 25).
    assert box_of_points(points).tolist() == [10.0, 14.5, 31.0, 35.5]


def test_overlaps_are_intersections_over_unions():
    left = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    right = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    np.testing.assert_allclose(overlaps(left, right), [[1 / 3, 1, 0], [0, 0, 0]], 1e-6)
