"""CSV tables as spreadsheets and DeepLabCut write them, and what only the user knows."""

import numpy as np
import pytest

from hrnet_jax.data.summary import summarize
from hrnet_jax.errors import DataError
from tests.data.landmark_files import prepare_csv, read_csv, write_image

PLAIN = """image_name,left_eye_x,left_eye_y,right_eye_x,right_eye_y
img0.jpg,10.5,11,20,12.25
img1.jpg,8,9.5,31,7
"""
POINTS = [[[10.5, 11], [20, 12.25]], [[8, 9.5], [31, 7]]]
SIDES = ("left_eye", "right_eye")
LONGER = "\nimg1.jpg,8,9.5,31,7,99\n"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "mine"
    for index in range(2):
        write_image(folder / "images" / f"img{index}.jpg")
    return folder


def write(source, text, encoding="utf-8"):
    (source / "train.csv").write_bytes(text.encode(encoding))


def decimal_commas(text):
    return text.replace(",", ";").replace(".5", ",5").replace(".25", ",25")


FORMS = {
    "as is": PLAIN,
    "line ends of Windows": PLAIN.replace("\n", "\r\n"),
    "line ends of old Macs": PLAIN.replace("\n", "\r"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "Excel's directive": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "decimal commas": decimal_commas(PLAIN),
    "decimal commas in quotes": PLAIN.replace("10.5", '"10,5"')
    .replace("12.25", '"12,25"')
    .replace("9.5", '"9,5"'),
    "all cells in quotes": "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.splitlines()
    ),
    "blank lines": "\n" + PLAIN.replace("\n", "\n\n,,,,\n"),
    "empty columns behind": PLAIN.replace("\n", ",,,\n"),
    "empty columns behind the lines": PLAIN.replace("25\n", "25,,\n"),
    "spaces": PLAIN.replace(",", " ,  "),
    "case of the header": PLAIN.replace("image_name", "Image_Name").replace("_x", "_X"),
    "spaces before the axis": PLAIN.replace("_x", " x").replace("_y", ".Y"),
    "another name of the images": PLAIN.replace("image_name", "Filename"),
    "line numbers of pandas": PLAIN.replace("image_name", ",image_name")
    .replace("img0", "0,img0")
    .replace("img1", "1,img1"),
    "folders of another machine": PLAIN.replace("img", r"C:\Users\me\set\img"),
    "backslashes": PLAIN.replace("img", "..\\images\\img"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_table_gives_the_same_points(form, source, tmp_path):
    write(source, FORMS[form])
    info = prepare_csv(source, tmp_path)
    assert info.point_names == SIDES and info.point_flip_pairs == ((0, 1),)
    samples = read_csv(tmp_path)
    assert [sample["image_id"] for sample in samples] == ["img0", "img1"]
    np.testing.assert_array_equal([sample["points"] for sample in samples], POINTS)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(encoding, source, tmp_path):
    (source / "images" / "img0.jpg").rename(source / "images" / "ümg0.jpg")
    write(source, PLAIN.replace("img0", "ümg0"), encoding)
    prepare_csv(source, tmp_path)
    assert read_csv(tmp_path)[0]["image_id"] == "ümg0"


def test_other_encodings_are_asked_for(source, tmp_path):
    (source / "images" / "img0.jpg").rename(source / "images" / "ümg0.jpg")
    write(source, PLAIN.replace("img0", "ümg0"), "cp1252")
    message = (
        r"train\.csv is not a text file in UTF-8 \(byte 0xfc in line 2\); save it as UTF-8, "
        r"or name its encoding, such as encoding=cp1252"
    )
    with pytest.raises(DataError, match=message):
        prepare_csv(source, tmp_path)
    prepare_csv(source, tmp_path, encoding="cp1252")
    assert read_csv(tmp_path)[0]["image_id"] == "ümg0"
    for name in ("cp9999", "hex", "utf-8\0"):
        with pytest.raises(DataError, match=r"train\.csv cannot be read with the enc"):
            prepare_csv(source, tmp_path, encoding=name)
    write(source, PLAIN, "utf-16-le")
    with pytest.raises(DataError, match="is UTF-16 without a byte-order mark; save it"):
        prepare_csv(source, tmp_path)


def test_commas_that_may_set_thousands_apart_are_asked_about(source, tmp_path):
    text = PLAIN.replace(",", ";").replace("10.5", "10,500")
    write(source, text.replace("12.25", "12").replace("9.5", "9"))
    message = (
        r"train\.csv:2: '10,500' may be 10\.5 \(decimal comma\) or 10500, and no number of "
        "the file tells which; say decimal=comma or decimal=point"
    )
    with pytest.raises(DataError, match=message):
        prepare_csv(source, tmp_path)
    prepare_csv(source, tmp_path, decimal="comma")
    assert read_csv(tmp_path)[0]["points"][0, 0] == 10.5
    prepare_csv(source, tmp_path, decimal="point")
    assert read_csv(tmp_path)[0]["points"][0, 0] == 10500
    with pytest.raises(DataError, match="decimal 'dot' is none of point, comma"):
        prepare_csv(source, tmp_path, decimal="dot")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("1.010,5", "9", 1010.5), ("1,010.5", "9.5", 1010.5), ("1010,25", "9,5", 1010.25)],
)
def test_one_number_can_tell_the_decimal_mark(
    first, second, expected, source, tmp_path
):
    header = "image_name;center_x;center_y;scale;left_x;left_y;right_x;right_y"
    row = f"img0.jpg;12;12;1;10;{second};{first};12"
    write(source, f"{header}\n{row}\n")
    prepare_csv(source, tmp_path)
    assert read_csv(tmp_path)[0]["points"][1, 0] == expected


def test_cells_without_value_are_points_that_nobody_marked(source, tmp_path):
    header = PLAIN.splitlines()[0]
    rows = ["img0.jpg,,,20,12", "img0.jpg,8,9,NaN,nan", "img1.jpg,5,6,NA,"]
    write(source, "\n".join([f"{header},nose_x,nose_y", *[f"{r},1,30" for r in rows]]))
    prepare_csv(source, tmp_path)
    samples = read_csv(tmp_path)
    assert [s["annotated"].tolist() for s in samples[:2]] == [[0, 1, 1], [1, 0, 1]]
    assert samples[0]["points"].tolist() == [[0, 0], [20, 12], [1, 30]]


def test_faces_with_one_point_need_a_box(source, tmp_path):
    write(source, PLAIN + "img1.jpg,5,6,,\n")
    message = (
        r"train\.csv:4 has only one annotated point and no box; give columns x1, y1, x2, y2, "
        "or leave out faces with fewer than two points with min_points=2"
    )
    with pytest.raises(DataError, match=message):
        prepare_csv(source, tmp_path)
    info = prepare_csv(source, tmp_path, min_points=2)
    assert info.counts == {"train": 2}
    assert info.findings == (
        ("train.csv", "lines with fewer than 2 annotated points, left out", 1),
    )
    text = PLAIN.replace("\n", ",2,2,30,30\n").replace("y,2,2,30,30", "y,x1,y1,x2,y2")
    write(source, text + "img1.jpg,5,6,,,2,2,30,30\n")
    assert prepare_csv(source, tmp_path).counts == {"train": 3}


def test_lines_without_points_are_left_out_and_counted(source, tmp_path):
    header = PLAIN.splitlines()[0]
    write(source, f"{PLAIN}img1.jpg,,,,\nimg0.jpg,nan,nan,,\n")
    info = prepare_csv(source, tmp_path)
    assert info.counts == {"train": 2}
    found = ("train.csv", "lines without annotated points, left out", 2)
    assert info.findings == (found,)
    assert "train.csv  lines without annotated points, left out       2" in summarize(
        info
    )
    write(source, f"{header}\nimg1.jpg,,,,\n")
    with pytest.raises(DataError, match=r"train\.csv has no annotated point"):
        prepare_csv(source, tmp_path)


@pytest.mark.parametrize(
    ("flag", "annotated"),
    [("0", 0), ("", 0), ("false", 0), ("1", None), ("TRUE", None), ("2", None)],
)
def test_a_point_in_sight_needs_coordinates(flag, annotated, source, tmp_path):
    write(
        source,
        "image_name,a_x,a_y,b_x,b_y,c_x,c_y,a_visible\n"
        f"img0.jpg,,,10,11,20,21,{flag}\n",
    )
    if annotated is None:
        with pytest.raises(
            DataError, match=r"csv:2, column 'a_x' is empty; give a num"
        ):
            prepare_csv(source, tmp_path, flip_pairs=("none",))
        return
    prepare_csv(source, tmp_path, flip_pairs=("none",))
    assert read_csv(tmp_path)[0]["annotated"].tolist() == [0, 1, 1]


def test_points_at_0_0_are_asked_about(source, tmp_path):
    write(source, PLAIN.replace("10.5,11", "0,0") + "img1.jpg,0,5,20,21\n")
    message = (
        r"train\.csv:2: point 'left_eye' is at 0, 0; say zeros=missing \(0, 0 stands for "
        r"points that are not annotated\) or zeros=points \(they are in the corner"
    )
    with pytest.raises(DataError, match=message):
        prepare_csv(source, tmp_path)
    prepare_csv(source, tmp_path, zeros="points")
    assert read_csv(tmp_path)[0]["annotated"].tolist() == [1, 1]
    with pytest.raises(DataError, match=r"csv:2 has only one annotated point and no b"):
        prepare_csv(source, tmp_path, zeros="missing")
    text = PLAIN.replace("\n", ",3,30\n").replace("eye_y,3,30", "eye_y,nose_x,nose_y")
    write(source, text.replace("10.5,11", "0,0"))
    info = prepare_csv(source, tmp_path, zeros="missing")
    assert read_csv(tmp_path)[0]["annotated"].tolist() == [0, 1, 1]
    assert info.findings == (
        ("train.csv", "points at 0, 0, taken for not annotated", 1),
    )
    with pytest.raises(
        DataError, match="zeros=corner: expected one of missing, points"
    ):
        prepare_csv(source, tmp_path, zeros="corner")


def test_columns_can_be_left_out(source, tmp_path):
    text = PLAIN.replace("\n", ",31\n").replace("right_eye_y,31", "right_eye_y,Age")
    write(source, text)
    with pytest.raises(DataError, match=r"unknown column 'Age' \(ignore=Age leaves it"):
        prepare_csv(source, tmp_path)
    info = prepare_csv(source, tmp_path, ignore=("age",))
    assert info.findings == (("train.csv", "columns 'Age', left out as said", 1),)
    write(source, text.replace("Age", ",Age"))
    with pytest.raises(
        DataError, match=r"train\.csv: column 6 has values, but no name in t"
    ):
        prepare_csv(source, tmp_path, ignore=("age",))


def test_a_table_of_any_name_can_be_cut(source, tmp_path):
    (source / "CollectedData_me.csv").write_text(PLAIN)
    with pytest.raises(
        DataError, match=r"landmarks\.csv \(the option table=FILE names"
    ):
        prepare_csv(source, tmp_path)
    info = prepare_csv(
        source, tmp_path, table="CollectedData_me.csv", ratios=(0.5, 0.5)
    )
    assert info.counts == {"train": 1, "val": 1}
    with pytest.raises(DataError, match=r"cannot read .*gone\.csv: No such file"):
        prepare_csv(source, tmp_path, table="gone.csv")


def test_a_line_with_more_cells_may_have_decimal_commas(source, tmp_path):
    write(source, PLAIN + LONGER)
    with pytest.raises(
        DataError, match=r"csv:5 has 6 values, expected 5 as in the header; a cell with"
    ):
        prepare_csv(source, tmp_path)


def test_boxes_that_are_empty_are_around_the_points(source, tmp_path):
    write(
        source,
        "image_name,x1,y1,x2,y2,box_size,left_x,left_y,right_x,right_y\n"
        "img0.jpg,,,,,,10,11,20,21\nimg1.jpg,1,2,31,22,7,10,11,20,21\n",
    )
    info = prepare_csv(source, tmp_path)
    first, second = read_csv(tmp_path)
    assert first["center"].tolist() == [15, 16] and first["box_size"] == 10
    assert second["center"].tolist() == [16, 12] and second["box_size"] == 7
    assert info.findings == (
        ("train.csv", "boxes around the points, as theirs are empty", 1),
    )
    write(source, (source / "train.csv").read_text().replace("jpg,,,,,", "jpg,1,,5,5,"))
    with pytest.raises(DataError, match=r"csv:2, column 'y1': '' is not a finite numb"):
        prepare_csv(source, tmp_path)


def test_two_names_of_one_image_are_an_error(source, tmp_path):
    write(source, PLAIN.replace("img0", "a/img1").replace("img1.jpg,8", "b/img1.jpg,8"))
    message = (
        r"train\.csv:3 names 'b/img1\.jpg', of which only .*images/img1\.jpg is there, but "
        r"that is 'a/img1\.jpg' as well; bring the images with the folders"
    )
    with pytest.raises(DataError, match=message):
        prepare_csv(source, tmp_path)
    write(source, PLAIN.replace("img0", "a/img1"))
    with pytest.raises(DataError, match=r"csv:3 names 'img1.jpg', of which only"):
        prepare_csv(source, tmp_path)


DLC = """scorer,me,me,me,me
bodyparts,ear_left,ear_left,ear_right,ear_right
coords,x,y,x,y
labeled-data/walk/img0.jpg,10.5,11,20,12.25
labeled-data/walk/img1.jpg,8,9.5,,
"""
DLC_WITH_BOX = DLC.replace("8,9.5,,", "8,9.5,31,7")


def test_reads_a_table_of_deeplabcut(source, tmp_path):
    write(source, DLC_WITH_BOX)
    info = prepare_csv(source, tmp_path)
    assert info.point_names == ("ear_left", "ear_right")
    assert info.point_flip_pairs == ((0, 1),)
    samples = read_csv(tmp_path)
    np.testing.assert_array_equal([sample["points"] for sample in samples], POINTS)
    assert info.findings == (
        ("train.csv", "images found without the first folders of their names", 2),
    )
    header, *rows = DLC_WITH_BOX.replace("/", ",").split("labeled")
    header = "\n".join(
        f"{line.partition(',')[0]},,,{line.partition(',')[2]}"
        for line in header.splitlines()
    )
    write(source, "\n".join([header, *(f"labeled{row}" for row in rows)]))
    prepare_csv(source, tmp_path)
    again = read_csv(tmp_path)
    np.testing.assert_array_equal([sample["points"] for sample in again], POINTS)


def test_individuals_of_deeplabcut_are_faces(source, tmp_path):
    write(
        source,
        "scorer,me,me,me,me,me,me,me,me,me,me\n"
        "individuals,a,a,a,a,b,b,b,b,single,single\n"
        "bodyparts,l ear,l ear,r ear,r ear,r ear,r ear,l ear,l ear,door,door\n"
        "coords,x,y,x,y,x,y,x,y,x,y\n"
        "img0.jpg,10,11,20,21,31,32,26,27,1,2\n"
        "img1.jpg,12,13,22,23,,,,,3,4\n",
    )
    info = prepare_csv(source, tmp_path)
    samples = read_csv(tmp_path)
    assert [s["image_id"] for s in samples] == ["img0", "img0#2", "img1"]
    assert samples[1]["points"].tolist() == [[26, 27], [31, 32]]
    assert info.point_names == ("l ear", "r ear")
    assert info.findings == (
        ("train.csv", "individuals 'single' (parts of none), left out", 1),
        ("train.csv", "individuals without annotated points, left out", 1),
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("coords", "axes", r"lines scorer, bodyparts, coords, line 3 is not 'coords'"),
        (
            "x,y,x,y",
            "x,y,x,likelihood",
            "column 5 is 'likelihood', expected x or y; lab",
        ),
        ("x,y,x,y", "x,y,x,x", "x of 'ear_right' is there twice"),
        ("x,y,x,y", "x,y,x", "the lines of its header are not equally long"),
        (
            "ear_right,ear_right",
            "ear_right,nose",
            "part 'ear_right' has no column of x",
        ),
    ],
)
def test_names_what_is_no_table_of_deeplabcut(before, after, message, source, tmp_path):
    write(source, DLC.replace(before, after))
    with pytest.raises(DataError, match=rf"train\.csv.*{message}"):
        prepare_csv(source, tmp_path)
