"""A user's tables with a mistake: the error names file, line and column."""

import pytest

from hrnet_jax.errors import DataError
from tests.data.landmark_files import (
    COLUMNS,
    change_cell,
    csv_row,
    prepare_csv,
    read_csv,
    write_csv,
    write_tables,
)

NAMES = ("left_eye", "right_eye", "nose")


@pytest.fixture
def source(tmp_path):
    return write_tables(tmp_path / "mine")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["img0.jpg", 1, 2, 3, 4, 5, 6], r"train\.csv has no header; its first line"),
        (
            ["picture", *COLUMNS],
            r"train\.csv has no column 'image_name'; expected image_n",
        ),
        (
            ["image_name", *COLUMNS, "age"],
            r"train\.csv: unknown column 'age' \(ignore=age leaves it out\); ex",
        ),
        (
            ["image_name", *COLUMNS, "nose_x"],
            r"train\.csv: column 'nose_x' is there twi",
        ),
        (["image_name", *COLUMNS[:-1]], r"train\.csv: column 'nose_x' has no 'nose_y'"),
        (["image_name", "nose_y"], r"train\.csv: unknown column 'nose_y'"),
        (["image_name", "scale"], r"train\.csv has no points"),
        (
            ["image_name", "x1", "y1", "x2", *COLUMNS],
            r"train\.csv: a box needs the columns x1, y1, x2, y2; 'y2' is missing",
        ),
        (
            ["image_name", "x1", "y1", "x2", "y2", "scale", *COLUMNS],
            r"train\.csv has two kinds of boxes",
        ),
        (
            ["image_name", *COLUMNS, "chin_x", "chin_y"],
            r"val\.csv has 3 points, .*train\.csv has 4; only in one of them: chin",
        ),
    ],
)
def test_names_wrong_headers(header, message, source, tmp_path):
    write_csv(source / "train.csv", [header, [1] * len(header)])
    with pytest.raises(DataError, match=message):
        prepare_csv(source, tmp_path)


@pytest.mark.parametrize(
    ("line", "column", "text", "message"),
    [
        (3, 1, "nan", r"train\.csv:3, column 'left_eye_x': 'nan' is not a finite num"),
        (
            8,
            6,
            "",
            r"train\.csv:8, column 'nose_y' is empty; give .* or leave nose_x, nose_y "
            + "and nose_visible empty if it is not annotated",
        ),
        (2, 5, "-1e300", r"train\.csv:2, column 'nose_x': '-1e300' is too large, exp"),
        (2, 5, "left", r"train\.csv:2, column 'nose_x': 'left' is not a finite number"),
        (4, 0, "", r"train\.csv:4: the image is called '', expected the name of a f"),
        (4, 0, ".", r"train\.csv:4: the image is called '\.', expected"),
        (
            4,
            0,
            "gone.jpg",
            r"train\.csv:4 names .*images/gone\.jpg, not found \(1 of 7",
        ),
        (
            4,
            6,
            "1,2",
            r"train\.csv:4: '1,2' has a comma, but '.*' of line 2 a decimal point; write",
        ),
    ],
)
def test_names_the_cell_at_fault(line, column, text, message, source, tmp_path):
    change_cell(source / "train.csv", line, column, text)
    with pytest.raises(DataError, match=message):
        prepare_csv(source, tmp_path)


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        (
            ("x1", "y1", "x2", "y2"),
            (4, 6, 4, 36),
            r"train\.csv:2: the box from \(4, 6\)",
        ),
        (
            ("center_x", "center_y", "scale"),
            (4, 6, 0),
            r"train\.csv:2: the face box has",
        ),
        (
            ("nose_visible",),
            (2,),
            r"csv:2, column 'nose_visible': '2', expected 0 or 1",
        ),
    ],
)
def test_names_boxes_of_size_0_and_wrong_flags(
    columns, values, message, source, tmp_path
):
    table = [["image_name", *columns, *COLUMNS], csv_row(0, *values)]
    write_csv(source / "train.csv", table)
    with pytest.raises(DataError, match=message):
        prepare_csv(source, tmp_path)


def test_names_rows_of_another_length_or_without_points(source, tmp_path):
    header = ["image_name", *COLUMNS]
    write_csv(source / "train.csv", [header, csv_row(0)[:-2]])
    with pytest.raises(
        DataError, match=r"csv:2 has 5 values, expected 7 as in the head"
    ):
        prepare_csv(source, tmp_path)
    write_csv(source / "train.csv", [header, ["img0.jpg", *[7] * 6]])
    with pytest.raises(DataError, match=r"train\.csv:2: all points coincide, the face"):
        prepare_csv(source, tmp_path)
    flags = [f"{name}_visible" for name in NAMES]
    write_csv(source / "train.csv", [[*header, *flags], ["img0.jpg", *[""] * 9]])
    with pytest.raises(DataError, match=r"train\.csv has no annotated point"):
        prepare_csv(source, tmp_path)
    write_csv(source / "train.csv", [header])
    with pytest.raises(DataError, match=r"train\.csv lists no images"):
        prepare_csv(source, tmp_path)


def test_an_image_in_two_splits_is_an_error(source, tmp_path):
    write_csv(source / "val.csv", [["image_name", *COLUMNS], csv_row(8), csv_row(3)])
    with pytest.raises(
        DataError, match=r"val\.csv:3: image 'img3\.jpg' of 'val' is already in .*csv:5"
    ):
        prepare_csv(source, tmp_path)


def test_says_which_tables_it_looks_for(source, tmp_path):
    for path in source.glob("*.csv"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"none of train\.csv, val\.csv, .*landmarks\.c"
    ):
        prepare_csv(source, tmp_path)


def test_overwrite_keeps_what_is_there_if_a_table_is_wrong(source, tmp_path):
    prepare_csv(source, tmp_path)
    change_cell(source / "train.csv", 3, 1, "nan")
    with pytest.raises(DataError, match="'nan'"):
        prepare_csv(source, tmp_path)
    assert len(read_csv(tmp_path)) == 7


def test_names_that_tell_no_sides_need_flip_pairs(source, tmp_path):
    columns = [f"{name}_{axis}" for name in ("a", "b", "c") for axis in "xy"]
    rows = [csv_row(index) for index in range(10)]
    write_csv(source / "train.csv", [["image_name", *columns], *rows[:7]])
    write_csv(source / "val.csv", [["image_name", *columns], *rows[7:]])
    with pytest.raises(DataError, match="flip_pairs=none where none do"):
        prepare_csv(source, tmp_path)
    assert prepare_csv(source, tmp_path, flip_pairs=("none",)).point_flip_pairs == ()
