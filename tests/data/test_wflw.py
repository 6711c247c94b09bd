"""WFLW: HRNet's CSV files, the original lists, six subsets, bad input."""

import shutil

import numpy as np
import pytest

from hrnet_jax.data.records import open_records
from hrnet_jax.errors import DataError
from tests.data.landmark_files import (
    change_cell,
    official_box,
    official_header,
    official_row,
    prepare,
    random_points,
    read,
    write_csv,
    write_image,
)

ATTRIBUTES = ("pose", "expression", "illumination", "make_up", "occlusion", "blur")
WORDS = ("largepose", "expression", "illumination", "makeup", "occlusion", "blur")
CSV = "face_landmarks_wflw_{}.csv"
FLAGGED = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"
WHOLE = "WFLW_annotations/list_98pt_test/list_98pt_test.txt"
LISTED = "WFLW_annotations/list_98pt_test/list_98pt_test_{}.txt"

# Image and six flags of each face of the test split; two faces in one image.
TEST = (
    ("0--Parade/a.jpg", "100000"),
    ("0--Parade/a.jpg", "001001"),
    ("9--Press/b.jpg", "001110"),
    ("9--Press/c.jpg", "010000"),
)
TRAIN = (("1--Show/d.jpg", "000000"), ("1--Show/e.jpg", "100001"))
MEMBERS = {  # by hand from the flags
    "pose": (0,),
    "expression": (3,),
    "illumination": (1, 2),
    "make_up": (2,),
    "occlusion": (2,),
    "blur": (1,),
}


def points_of(index):
    return random_points(98, index)


def list_line(index, name, flags=None):
    values = " ".join(f"{value:.6f}" for value in points_of(index).ravel())
    rectangle = "" if flags is None else f" 5 4 35 28 {' '.join(flags)}"
    return f"{values}{rectangle} {name}\n"


@pytest.fixture
def images(tmp_path):
    for name, _ in TEST + TRAIN:
        write_image(tmp_path / "WFLW" / "WFLW_images" / name)
    return tmp_path / "WFLW"


@pytest.fixture
def csv_source(images):
    header = official_header(98)
    for part, faces in (("train", TRAIN), ("test", TEST)):
        rows = [official_row(name, points_of(k)) for k, (name, _) in enumerate(faces)]
        write_csv(images / CSV.format(part), [header, *rows])
    for attribute, word in zip(ATTRIBUTES, WORDS, strict=True):
        rows = [official_row(TEST[k][0], points_of(k)) for k in MEMBERS[attribute]]
        write_csv(images / CSV.format(f"test_{word}"), [header, *rows])
    return images


@pytest.fixture
def text_source(images):
    for part, faces in (("train", TRAIN), ("test", TEST)):
        path = images / FLAGGED.format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [list_line(k, *face) for k, face in enumerate(faces)]
        path.write_text("".join(lines))
    return images


@pytest.fixture
def lists_of_subsets(images):
    for attribute, word in zip(ATTRIBUTES, WORDS, strict=True):
        path = images / LISTED.format(word)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [list_line(k, TEST[k][0]) for k in MEMBERS[attribute]]
        path.write_text("".join(lines))
    return images


@pytest.mark.parametrize("layout", ["csv_source", "text_source"])
def test_both_layouts_give_the_same_records(layout, request, tmp_path):
    info = prepare("wflw", request.getfixturevalue(layout), tmp_path)
    sizes = {subset: len(members) for subset, members in MEMBERS.items()}
    assert info.counts == {"train": 2, "test": 4, **sizes}
    assert info.subsets == {name: {"test": k} for name, k in MEMBERS.items()}
    assert info.default_splits == {"train": "train", "eval": "test", "test": "test"}
    assert info.tight_boxes
    assert info.default_normalizer == "inter_ocular" and info.point_origin == 0.0
    names = [sample["image_id"] for sample in read("wflw", tmp_path, "test")]
    assert names == ["0--Parade/a", "0--Parade/a#2", "9--Press/b", "9--Press/c"]
    for index, sample in enumerate(read("wflw", tmp_path, "test")):
        np.testing.assert_array_equal(sample["points"], points_of(index))
        scale, x, y = official_box(points_of(index))
        np.testing.assert_array_equal(sample["center"], (x, y))
        assert sample["scale"] == scale and sample["box_size"] == scale * 200


@pytest.mark.parametrize("layout", ["csv_source", "text_source", "lists_of_subsets"])
def test_subsets_are_splits(layout, request, tmp_path):
    prepare("wflw", request.getfixturevalue(layout), tmp_path)
    for subset, members in MEMBERS.items():
        samples = read("wflw", tmp_path, subset)
        assert len(samples) == len(members)
        for sample, index in zip(samples, members, strict=True):
            np.testing.assert_array_equal(sample["points"], points_of(index))


def test_lists_of_subsets_alone_hold_each_face_once(lists_of_subsets, tmp_path):
    info = prepare("wflw", lists_of_subsets, tmp_path)
    assert info.counts["test"] == 4 and "train" not in info.counts
    ids = [sample["image_id"] for sample in read("wflw", tmp_path, "test")]
    assert sorted(ids) == ["0--Parade/a", "0--Parade/a#2", "9--Press/b", "9--Press/c"]


def test_the_whole_list_gives_faces_of_no_subset_too(lists_of_subsets, tmp_path):
    faces = [*TEST, ("9--Press/f.jpg", "000000")]
    write_image(lists_of_subsets / "WFLW_images" / faces[-1][0])
    lines = [list_line(k, name) for k, (name, _) in enumerate(faces)]
    (lists_of_subsets / WHOLE).write_text("".join(lines))
    (lists_of_subsets / LISTED.format("blur")).unlink()
    info = prepare("wflw", lists_of_subsets, tmp_path)
    expected = {name: {"test": k} for name, k in MEMBERS.items() if name != "blur"}
    assert info.counts["test"] == 5 and info.subsets == expected
    for index, sample in enumerate(read("wflw", tmp_path, "test")):
        np.testing.assert_array_equal(sample["points"], points_of(index))
    (lists_of_subsets / WHOLE).write_text("".join(lines[1:]))
    with pytest.raises(
        DataError,
        match=r"test_largepose\.txt:1 names .*a\.jpg with points that no row of .*"
        r"list_98pt_test\.txt has",
    ):
        prepare("wflw", lists_of_subsets, tmp_path)


def test_the_whole_list_alone_is_the_test_split(images, tmp_path):
    (images / WHOLE).parent.mkdir(parents=True)
    (images / WHOLE).write_text(list_line(0, TEST[0][0]))
    info = prepare("wflw", images, tmp_path)
    assert info.counts == {"test": 1} and info.subsets == {}


def test_digits_may_differ_between_files(csv_source, tmp_path):
    value = points_of(2)[0, 0]
    change_cell(csv_source / CSV.format("test_makeup"), 2, 4, f"{value + 2e-5:.9f}")
    info = prepare("wflw", csv_source, tmp_path)
    assert info.subsets["make_up"] == {"test": (2,)}


def test_a_row_of_a_subset_must_be_in_the_test_set(csv_source, tmp_path):
    change_cell(csv_source / CSV.format("test_blur"), 2, 0, "9--Press/b.jpg")
    with pytest.raises(
        DataError, match=r"wflw_test_blur\.csv:2 names .*b\.jpg with points that no row"
    ):
        prepare("wflw", csv_source, tmp_path)


def test_the_layout_can_be_chosen(csv_source, text_source, tmp_path):
    assert csv_source == text_source
    (csv_source / CSV.format("train")).unlink()
    assert "train" not in prepare("wflw", csv_source, tmp_path).counts
    assert prepare("wflw", csv_source, tmp_path, layout="text").counts["train"] == 2
    with pytest.raises(DataError, match="layout 'pts' is none of auto, csv, text"):
        prepare("wflw", csv_source, tmp_path, layout="pts")
    shutil.rmtree(csv_source / "WFLW_annotations")
    with pytest.raises(DataError, match="has no WFLW: expected list_98pt_rect_attr"):
        prepare("wflw", csv_source, tmp_path, layout="text")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            list_line(0, "a.jpg"),
            r"attr_train\.txt:1 has 197 words, expected 207: 98 points, 4 numbers of "
            + "the rectangle, 6 flags, image name",
        ),
        (
            list_line(0, TRAIN[0][0], "000002"),
            r"attr_train\.txt:1: flag 'blur' is '2', expected 0 or 1",
        ),
        (
            "nan " + list_line(0, *TRAIN[0]).partition(" ")[2],
            r"attr_train\.txt:1, column 'point 0 x': 'nan' is not a finite number",
        ),
        (
            list_line(0, "1--Show/gone.jpg", "000000"),
            r"attr_train\.txt:1 names .*gone\.jpg, not found \(1 of 1 in 'train'\)",
        ),
        (
            "7 " * 196 + "5 4 35 28 0 0 0 0 0 0 1--Show/d.jpg",
            r"attr_train\.txt:1: all points coincide, the face box has size 0",
        ),
        ("\n", r"attr_train\.txt lists no images"),
    ],
)
def test_names_the_line_at_fault(line, message, text_source, tmp_path):
    (text_source / FLAGGED.format("train")).write_text(line)
    with pytest.raises(DataError, match=message):
        prepare("wflw", text_source, tmp_path)


@pytest.mark.parametrize(
    ("line", "column", "text", "message"),
    [
        (1, 1, "center_w", r"wflw_test\.csv: column 2 is 'center_w', expected 'scale'"),
        (5, 199, "", r"wflw_test\.csv:5, column 'original_97_y': '' is not a finite"),
        (3, 1, "0", r"wflw_test\.csv:3: the face box has no size \(scale 0\)"),
    ],
)
def test_names_the_row_at_fault(line, column, text, message, csv_source, tmp_path):
    change_cell(csv_source / CSV.format("test"), line, column, text)
    with pytest.raises(DataError, match=message):
        prepare("wflw", csv_source, tmp_path)


@pytest.fixture
def samples(real_data, tmp_path):
    folder = real_data / "samples" / "wflw"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    copy = tmp_path / "samples"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    return copy


def test_the_box_rule_gives_the_real_csv_row(samples):
    path = samples / CSV.format("test")
    row = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, 200))
    np.testing.assert_array_equal(row[:3], official_box(row[3:].reshape(98, 2)))


def test_reads_the_real_samples(samples, tmp_path):
    assert prepare("wflw", samples, tmp_path).counts == {"test": 1}
    info = prepare("wflw", samples, tmp_path, layout="text")
    assert info.counts == {"test": 1}  # its six flags are 0
    (samples / FLAGGED.format("test")).unlink()
    info = prepare("wflw", samples, tmp_path, layout="text")
    assert info.counts == {
        "test": 6,
        "pose": 1,
        "expression": 1,
        "illumination": 3,
        "make_up": 2,
        "occlusion": 1,
        "blur": 2,
    }
    part = open_records("wflw", tmp_path / "data", "make_up")
    assert part[1]["image_id"].endswith("_Group_12_300")
