"""A user's tables: header names the points, boxes, hidden points."""

import time

import numpy as np
import pytest

from hrnet_jax.config import assignments
from hrnet_jax.data import registry
from hrnet_jax.data.points.items import box_around, fully_annotated
from hrnet_jax.data.points.point_sets import COFW
from hrnet_jax.data.points.splits import cut_by_image
from hrnet_jax.errors import DataError
from tests.data.landmark_files import (
    COLUMNS,
    csv_row,
    official_box,
    official_header,
    official_row,
    prepare_csv,
    random_points,
    read_csv,
    write_csv,
    write_tables,
)

NAMES = ("left_eye", "right_eye", "nose")


@pytest.fixture
def source(tmp_path):
    return write_tables(tmp_path / "mine")


def test_the_header_names_the_points(source, tmp_path):
    info = prepare_csv(source, tmp_path, normalizer="left_eye:right_eye")
    assert info.counts == {"train": 7, "val": 3}
    assert info.point_names == NAMES and info.point_flip_pairs == ((0, 1),)
    assert info.normalizers == {"left_eye_to_right_eye": ((0,), (1,))}
    assert info.default_normalizer == "left_eye_to_right_eye"
    assert info.default_splits == {"train": "train", "eval": "val"}
    for index, sample in enumerate(read_csv(tmp_path)):
        points = random_points(3, index)
        np.testing.assert_array_equal(sample["points"], points)
        scale, x, y = official_box(points)
        np.testing.assert_array_equal(sample["center"], (x, y))
        assert sample["scale"] == scale and sample["box_size"] == 200 * scale
        assert sample["image_id"] == f"img{index}"


def test_columns_may_stand_in_any_order(source, tmp_path):
    prepare_csv(source, tmp_path)
    before = read_csv(tmp_path, "val")
    lines = [line.split(",") for line in (source / "val.csv").read_text().splitlines()]
    write_csv(source / "val.csv", [line[::-1] for line in lines])
    info = prepare_csv(source, tmp_path)
    assert info.point_names == NAMES
    for old, new in zip(before, read_csv(tmp_path, "val"), strict=True):
        np.testing.assert_array_equal(old["points"], new["points"])


@pytest.mark.parametrize(
    ("columns", "values", "center", "scale", "box_size"),
    [
        (("x1", "y1", "x2", "y2"), (4, 6, 24, 36), (14, 21), 30 / 200, 30),
        (("center_x", "center_y", "scale"), (15, 16, 0.25), (15, 16), 0.25, 50),
        (("scale", "center_w", "center_h"), (0.25, 15, 16), (15, 16), 0.25, 50),
        (
            ("scale", "box_size", "center_x", "center_y"),
            (0.25, 7, 15, 16),
            (15, 16),
            0.25,
            7,
        ),
    ],
)
def test_boxes(columns, values, center, scale, box_size, source, tmp_path):
    table = [["image_name", *columns, *COLUMNS], csv_row(0, *values)]
    write_csv(source / "train.csv", table)
    prepare_csv(source, tmp_path)
    (sample,) = read_csv(tmp_path)
    assert tuple(sample["center"]) == center
    assert sample["scale"] == scale and sample["box_size"] == box_size


def test_hidden_points_and_points_that_nobody_marked(source, tmp_path):
    header = ["image_name", *COLUMNS, "nose_visible", "left_eye_visible"]
    rows = [
        ["img0.jpg", 10, 11, 20, 12, 15.5, 17, 0, 1],
        ["img1.jpg", "", "", 20, 12, 15.5, 17, "1.0", ""],
    ]
    write_csv(source / "train.csv", [header, *rows])
    prepare_csv(source, tmp_path)
    first, second = read_csv(tmp_path)
    assert first["visible"].tolist() == [1, 1, 0]
    assert first["annotated"].tolist() == [1, 1, 1]
    assert second["visible"].tolist() == [0, 1, 1]
    assert second["annotated"].tolist() == [0, 1, 1]
    assert second["points"].tolist() == [[0, 0], [20, 12], [15.5, 17]]
    # The box is around what is marked.
    assert second["center"].tolist() == [17.5, 14.5]


def test_one_table_is_cut_by_image(source, tmp_path):
    (source / "train.csv").unlink()
    (source / "val.csv").unlink()
    rows = [csv_row(index % 10) for index in range(20)]  # two faces an image
    for line in rows[10:]:
        line[1] += 0.5
    write_csv(source / "landmarks.csv", [["image_name", *COLUMNS], *rows])
    info = prepare_csv(source, tmp_path, ratios=(0.6, 0.2, 0.2))
    assert info.counts == {"train": 12, "val": 4, "test": 4}
    ids = {
        split: {sample["image_id"] for sample in read_csv(tmp_path, split)}
        for split in info.counts
    }
    for chosen in ids.values():
        assert {name.removesuffix("#2") + "#2" for name in chosen} <= chosen
    assert set.union(*ids.values()) == {
        f"img{index}{end}" for index in range(10) for end in ("", "#2")
    }
    prepare_csv(source, tmp_path, ratios=(0.6, 0.2, 0.2), seed=1)
    again = {sample["image_id"] for sample in read_csv(tmp_path)}
    assert again != ids["train"]
    with pytest.raises(DataError, match="positive shares with sum 1, got"):
        prepare_csv(source, tmp_path, ratios=(0.6, 0.2))
    write_csv(source / "landmarks.csv", [["image_name", *COLUMNS], csv_row(0)])
    with pytest.raises(DataError, match="1 images cannot fill 2 splits"):
        prepare_csv(source, tmp_path)


@pytest.mark.parametrize(
    ("ratios", "counts"),
    [((0.999, 0.001), [9, 1]), ((0.001, 0.001, 0.998), [1, 1, 8]), ((1.0,), [10])],
)
def test_no_split_stays_empty(ratios, counts, source, tmp_path):
    for name in ("train.csv", "val.csv"):
        (source / name).unlink()
    rows = [csv_row(index) for index in range(10)]
    write_csv(source / "landmarks.csv", [["image_name", *COLUMNS], *rows])
    info = prepare_csv(source, tmp_path, ratios=ratios)
    assert list(info.counts.values()) == counts


def test_files_and_options_describe_the_points(source, tmp_path):
    (source / "flip_pairs.txt").write_text("left_eye nose\n")
    (source / "lines.txt").write_text("left_eye nose right_eye\n")
    info = prepare_csv(source, tmp_path, point_origin=1.0)
    assert info.point_flip_pairs == ((0, 2),) and info.point_lines == ((0, 2, 1),)
    assert info.point_origin == 1.0 and info.default_normalizer == "box"
    info = prepare_csv(source, tmp_path, flip_pairs=("right_eye:nose",))
    assert info.point_flip_pairs == ((1, 2),)
    options = assignments.parse(
        ["flip_pairs=left_eye:right_eye,a:b", "point_origin=1"],
        "--option",
        registry.option_kinds("landmarks_csv"),
    )
    assert options["flip_pairs"] == ("left_eye:right_eye", "a:b")


def test_points_in_a_standard_order_get_its_tables(source, tmp_path):
    (source / "val.csv").unlink()
    rows = [official_row(f"img{k}.jpg", random_points(29, k)) for k in range(2)]
    write_csv(source / "train.csv", [official_header(29), *rows])
    info = prepare_csv(source, tmp_path, point_set=29)
    assert info.point_names == COFW.names and info.point_lines == COFW.lines
    assert info.point_flip_pairs == COFW.flip_pairs
    assert info.default_normalizer == "inter_ocular"
    with pytest.raises(DataError, match=r"train\.csv has 29 points, expected 68 \(opt"):
        prepare_csv(source, tmp_path, point_set=68)
    with pytest.raises(DataError, match="point_set 5 is none of 19, 29, 68, 98"):
        prepare_csv(source, tmp_path, point_set=5)
    with pytest.raises(DataError, match="leave out the option flip_pairs"):
        prepare_csv(source, tmp_path, point_set=29, flip_pairs=("a:b",))
    with pytest.raises(DataError, match="'a:b' is none of .* box, inter_ocular, int"):
        prepare_csv(source, tmp_path, point_set=29, normalizer="a:b")
    for name in ("inter_pupil", "box"):
        info = prepare_csv(source, tmp_path, point_set=29, normalizer=name)
        assert info.default_normalizer == name and len(info.normalizers) == 2
    with pytest.raises(DataError, match=r"points original_0, .*, or point_set=29"):
        prepare_csv(source, tmp_path)
    for name in ("flip_pairs.txt", "lines.txt"):
        (source / name).write_text("a b\n")
        with pytest.raises(DataError, match=rf"set 29 has its .* leave out .*{name}"):
            prepare_csv(source, tmp_path, point_set=29)
        (source / name).unlink()


def test_shares_of_the_size_are_no_pixels(source, tmp_path):
    """Points within two pixels of the corner are shares of the size."""
    header = ["image_name", "center_x", "center_y", "scale", *COLUMNS]
    shares = [0.2, 0.3, 0.8, 0.3, 0.5, 0.6]
    write_csv(source / "train.csv", [header, ["img0.jpg", 20, 16, 0.1, *shares]])
    with pytest.raises(
        DataError, match=r"train\.csv:2: all points are in the first 2 pixels of their"
    ):
        prepare_csv(source, tmp_path)
    write_csv(source / "train.csv", [["image_name", *COLUMNS], ["img0.jpg", *shares]])
    with pytest.raises(DataError, match=r"train\.csv:2: the face box, 1 pixels around"):
        prepare_csv(source, tmp_path)
    write_csv(
        source / "train.csv",
        [header, ["img0.jpg", 20, 16, 0.1, *(value * 5 for value in shares)]],
    )
    prepare_csv(source, tmp_path)


@pytest.mark.parametrize(
    ("center", "origin", "inside"),
    [
        ((-10.5, 16), 0, False),  # its right side is the left edge of the image
        ((-10.4, 16), 0, True),
        ((-9.6, 16), 1, False),
        ((-9.4, 16), 1, True),
        ((49.4, 16), 0, True),  # the image is 40x32
        ((49.6, 16), 0, False),
        ((20, 41.4), 0, True),
        ((20, 41.6), 0, False),
    ],
)
def test_a_box_must_overlap_its_image(center, origin, inside, source, tmp_path):
    table = [["image_name", "center_x", "center_y", "scale", *COLUMNS]]
    write_csv(source / "train.csv", [*table, csv_row(0, *center, 0.1)])
    if inside:
        prepare_csv(source, tmp_path, point_origin=float(origin))
        return
    with pytest.raises(
        DataError, match=r"csv:2: the face box, 20 pixels .* is no part of its image"
    ):
        prepare_csv(source, tmp_path, point_origin=float(origin))


def test_only_boxes_from_the_points_are_tight(source, tmp_path):
    assert prepare_csv(source, tmp_path).tight_boxes
    header = ["image_name", "center_x", "center_y", "scale", *COLUMNS]
    write_csv(source / "val.csv", [header, csv_row(9, 20, 16, 0.2)])
    assert not prepare_csv(source, tmp_path).tight_boxes


def test_a_table_to_cut_beside_those_of_splits_is_an_error(source, tmp_path):
    write_csv(source / "landmarks.csv", [["image_name", *COLUMNS], csv_row(0)])
    with pytest.raises(
        DataError, match=r"has landmarks\.csv beside train\.csv, val\.csv; keep either"
    ):
        prepare_csv(source, tmp_path)


def test_the_cut_does_not_depend_on_the_place_of_the_folder(source, tmp_path):
    for name in ("train.csv", "val.csv"):
        (source / name).unlink()
    rows = [csv_row(index) for index in range(10)]
    write_csv(source / "landmarks.csv", [["image_name", *COLUMNS], *rows])
    cuts = []
    for name in ("mine", "other", "a/third"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        source = source.rename(tmp_path / name)
        prepare_csv(source, tmp_path, ratios=(0.5, 0.5))
        cuts.append([sample["image_id"] for sample in read_csv(tmp_path)])
    assert cuts[0] == cuts[1] == cuts[2]


def test_many_faces_are_cut_in_no_time(tmp_path):
    points = random_points(3, 0)
    box = box_around(points, "")
    faces = [
        fully_annotated(
            image=tmp_path / f"{index // 2}.jpg",
            image_id=str(index),
            points=points,
            box=box,
            where="",
        )
        for index in range(40_000)
    ]
    start = time.process_time()
    splits = cut_by_image(faces, tmp_path, (0.5, 0.5), 0)
    # It takes 0.2 s; a set of the images for each face would take 12 s.
    assert time.process_time() - start < 3
    assert [len(items) for items in splits.values()] == [20_000, 20_000]
    for items in splits.values():
        order = [int(item.image_id) for item in items]
        assert order == sorted(order)
        assert {index ^ 1 for index in order} == set(order)  # both of each image
