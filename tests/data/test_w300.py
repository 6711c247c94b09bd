"""300W: HRNet's CSV files, the original `.pts`, subsets, and every bad input."""

import shutil

import cv2
import numpy as np
import pytest

from hrnet_jax.data import registry
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

FACES = {
    "train": ("afw/1_1.jpg", "helen/trainset/2_1.jpg", "lfpw/trainset/image_0003.png"),
    "valid_common": ("helen/testset/4_1.jpg", "lfpw/testset/image_0005.png"),
    "valid_challenge": ("ibug/image_006.jpg",),
    "test": ("Test/01_Indoor/indoor_007.png", "Test/02_Outdoor/outdoor_008.png"),
}
CSV = "face_landmarks_300w_{}.csv"
POINTS = {
    name: random_points(68, seed)
    for seed, name in enumerate(n for names in FACES.values() for n in names)
}


@pytest.fixture
def images(tmp_path):
    for seed, name in enumerate(POINTS):
        write_image(tmp_path / "300w" / "images" / name, seed)
    return tmp_path / "300w"


@pytest.fixture
def source(images):
    """HRNet's CSV files."""
    for part, names in FACES.items():
        rows = [official_row(name, POINTS[name]) for name in names]
        write_csv(images / CSV.format(part), [official_header(68), *rows])
    return images


def write_pts(path, points):
    lines = [f"{x:.6f} {y:.6f}" for x, y in points]
    path.write_text("\n".join(["version: 1", "n_points:  68", "{", *lines, "}"]) + "\n")


@pytest.fixture
def pts_source(images):
    for name, points in POINTS.items():
        write_pts((images / "images" / name).with_suffix(".pts"), points)
    return images


def test_records_hold_what_the_csv_says(source, tmp_path):
    info = prepare("w300", source, tmp_path)
    assert info.counts == {
        "train": 3,
        "common": 2,
        "challenge": 1,
        "test": 2,
        "full": 3,
    }
    assert info.default_splits == {"train": "train", "eval": "full", "test": "test"}
    assert info.tight_boxes
    assert info.point_origin == 1.0 and info.default_normalizer == "inter_ocular"
    assert len(info.point_names) == 68 and info.num_classes == 0
    for split, part in (("train", "train"), ("challenge", "valid_challenge")):
        for sample, name in zip(
            read("w300", tmp_path, split), FACES[part], strict=True
        ):
            assert sample["image_id"] == name.rpartition(".")[0]
            scale, x, y = official_box(POINTS[name])
            # As written, to the last bit.
            np.testing.assert_array_equal(sample["points"], POINTS[name])
            np.testing.assert_array_equal(sample["center"], (x, y))
            assert sample["scale"] == scale and sample["box_size"] == 200 * scale
            for key in ("points", "center", "scale", "box_size"):
                assert sample[key].dtype == np.float64
            assert (
                sample["visible"].tolist() == sample["annotated"].tolist() == [1] * 68
            )
            stored = cv2.imread(str(source / "images" / name))[..., ::-1]
            np.testing.assert_array_equal(sample["image"], stored)


def test_full_is_common_and_challenge(source, tmp_path):
    prepare("w300", source, tmp_path)
    parts = read("w300", tmp_path, "common") + read("w300", tmp_path, "challenge")
    full = read("w300", tmp_path, "full")
    assert [s["image_id"] for s in full] == [s["image_id"] for s in parts]


@pytest.mark.parametrize("absent", [("valid_common", "valid_challenge"), ("train",)])
def test_splits_without_a_file_are_left_out(absent, source, tmp_path):
    for part in absent:
        (source / CSV.format(part)).unlink()
    info = prepare("w300", source, tmp_path)
    if absent == ("train",):
        assert "train" not in info.counts and info.default_splits["train"] == "common"
    else:
        assert info.counts == {"train": 3, "test": 2}
        assert info.default_splits["eval"] == "test" and info.subsets == {}


@pytest.mark.parametrize("kept", [(), ("valid_challenge",)])
def test_the_file_of_the_full_set_gives_both_parts(kept, source, tmp_path):
    names = FACES["valid_challenge"] + FACES["valid_common"]
    rows = [official_row(name, POINTS[name]) for name in names]
    write_csv(source / CSV.format("valid"), [official_header(68), *rows])
    for part in {"valid_common", "valid_challenge"} - set(kept):
        (source / CSV.format(part)).unlink()
    info = prepare("w300", source, tmp_path)
    assert (info.counts["common"], info.counts["challenge"]) == (2, 1)
    assert read("w300", tmp_path, "challenge")[0]["image_id"] == "ibug/image_006"


def test_a_full_set_with_other_points_is_an_error(source, tmp_path):
    row = official_row(FACES["valid_common"][0], POINTS[FACES["valid_common"][0]] + 1)
    write_csv(source / CSV.format("valid"), [official_header(68), row])
    with pytest.raises(
        DataError,
        match=r"_valid\.csv:2 names .*4_1\.jpg with points that no row of .*"
        r"valid_common\.csv has",
    ):
        prepare("w300", source, tmp_path)


def test_pts_files_give_the_same_records(pts_source, tmp_path):
    info = prepare("w300", pts_source, tmp_path)
    assert info.counts["train"] == 3 and info.counts["full"] == 3
    for split, part in (("common", "valid_common"), ("test", "test")):
        for sample, name in zip(
            read("w300", tmp_path, split), FACES[part], strict=True
        ):
            np.testing.assert_array_equal(sample["points"], POINTS[name])
            scale, x, y = official_box(POINTS[name])
            assert sample["scale"] == scale
            np.testing.assert_array_equal(sample["center"], (x, y))
            assert sample["image_id"] == name.rpartition(".")[0]


@pytest.mark.parametrize("place", ["300W", "."])
def test_the_test_set_may_lie_as_its_archive_has_it(place, pts_source, tmp_path):
    images = pts_source / "images"
    for folder in sorted((images / "Test").iterdir()):
        (images / place).mkdir(exist_ok=True)
        folder.rename(images / place / folder.name)
    assert prepare("w300", pts_source, tmp_path).counts["test"] == 2  # beside Test/
    (images / "Test").rmdir()
    assert prepare("w300", pts_source, tmp_path).counts["test"] == 2
    for sample, name in zip(read("w300", tmp_path, "test"), FACES["test"], strict=True):
        np.testing.assert_array_equal(sample["points"], POINTS[name])
        end = name.removeprefix("Test/").rpartition(".")[0]
        assert sample["image_id"] == (end if place == "." else f"300W/{end}")


def test_a_face_is_not_read_from_two_places(pts_source, tmp_path):
    images = pts_source / "images"
    shutil.copytree(images / "Test", images / "300W")
    assert prepare("w300", pts_source, tmp_path).counts["test"] == 2


def test_another_source_is_another_data_set(source, tmp_path):
    registry.prepare("w300", tmp_path, source)
    assert registry.prepare("w300", tmp_path, source).counts["train"] == 3
    other = shutil.copytree(source, tmp_path / "other")
    with pytest.raises(DataError, match="was prepared with source .*--overwrite"):
        registry.prepare("w300", tmp_path, other)


def test_eye_corners_that_coincide_are_named(source, tmp_path):
    path = source / CSV.format("train")
    for column, axis in ((0, 0), (1, 1)):
        value = str(POINTS[FACES["train"][0]][36, axis])
        change_cell(path, 2, 4 + 2 * 45 + column, value)
    with pytest.raises(
        DataError, match=r"train\.csv:2: the points of .* 'inter_ocular' coincide"
    ):
        prepare("w300", source, tmp_path)


def test_the_layout_can_be_chosen(pts_source, tmp_path):
    row = official_row(FACES["train"][0], POINTS[FACES["train"][0]])
    write_csv(pts_source / CSV.format("train"), [official_header(68), row])
    assert prepare("w300", pts_source, tmp_path).counts == {"train": 1}
    assert prepare("w300", pts_source, tmp_path, layout="pts").counts["train"] == 3
    assert prepare("w300", pts_source, tmp_path, layout="csv").counts == {"train": 1}
    with pytest.raises(DataError, match="layout 'mat' is none of auto, csv, pts"):
        prepare("w300", pts_source, tmp_path, layout="mat")
    (pts_source / CSV.format("train")).unlink()
    with pytest.raises(DataError, match=r"has no 300W: expected face_landmarks_300w_t"):
        prepare("w300", pts_source, tmp_path, layout="csv")


def test_images_beside_the_tables_or_in_a_named_folder(source, tmp_path):
    (source / "images").rename(source / "photos")
    assert prepare("w300", source, tmp_path, images="photos").counts["train"] == 3
    with pytest.raises(DataError, match=r"pictures is missing; expected the images"):
        prepare("w300", source, tmp_path, images="pictures")
    for folder in (source / "photos").iterdir():
        folder.rename(source / folder.name)
    assert prepare("w300", source, tmp_path).counts["train"] == 3


def test_a_folder_without_300w_says_what_was_expected(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing")
    with pytest.raises(
        DataError, match=r"other has no 300W: expected face_landm.*, or \.pts"
    ):
        prepare("w300", tmp_path / "other", tmp_path)


def without_header(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def other_order(path):
    header = official_header(68, ("image_name", "center_w", "center_h", "scale"))
    change = path.read_text().splitlines()
    path.write_text("\n".join([",".join(header), *change[1:]]))


def of_29_points(path):
    write_csv(path, [official_header(29), official_row("a.jpg", random_points(29, 0))])


def short_row(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2].rsplit(",", 2)[0], *lines[3:]]))


def cell(line, column, text):
    return lambda path: change_cell(path, line, column, text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            without_header,
            r"300w_train\.csv has no header; its first line must be image_name, "
            + r"scale, center_w, center_h, original_0_x, .*, original_67_y",
        ),
        (
            other_order,
            r"300w_train\.csv: column 2 is 'center_w', expected 'scale'; the columns must",
        ),
        (of_29_points, r"300w_train\.csv:1 has columns for 29 points, expected 68"),
        (short_row, r"300w_train\.csv:3 has 67 points, expected 68"),
        (
            cell(4, 10, "nan"),
            r"300w_train\.csv:4, column 'original_3_x': 'nan' is not a finite number",
        ),
        (
            cell(2, 5, ""),
            r"300w_train\.csv:2, column 'original_0_y': '' is not a finite number",
        ),
        (
            cell(2, 1, "0.0"),
            r"300w_train\.csv:2: the face box has no size \(scale 0\)",
        ),
        (
            cell(3, 0, ""),
            r"300w_train\.csv:3: the image is called '', expected the name of a file",
        ),
        (
            cell(3, 0, "afw/gone.jpg"),
            r"300w_train\.csv:3 names .*afw/gone\.jpg, not found \(1 of 3 in 'train'\)",
        ),
        (lambda path: path.write_text(""), r"300w_train\.csv has no header"),
        (
            lambda path: write_csv(path, [official_header(68)]),
            r"300w_train\.csv lists no images",
        ),
        (
            lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"),
            r"300w_train\.csv is not a text file in UTF-8 \(byte 0x89 in line 1\); save it",
        ),
    ],
)
def test_names_the_row_at_fault(damage, message, source, tmp_path):
    damage(source / CSV.format("train"))
    with pytest.raises(DataError, match=message):
        prepare("w300", source, tmp_path)
    with pytest.raises(DataError, match="is not prepared"):
        open_records("w300", tmp_path / "data", "train")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["nothing"], r"image_006\.pts is no \.pts file: expected 'version: 1'"),
        (["{", *["3 4"] * 29, "}"], r"image_006\.pts has 29 points, expected 68"),
        (["{", "3 4 5", *["3 4"] * 67, "}"], r"image_006\.pts:2: expected 'x y', got"),
        (
            ["{", *["3 4"] * 67, "3 nan", "}"],
            r"image_006\.pts:69, column 'y': 'nan' is not a finite number",
        ),
        (
            ["{", *["3 4"] * 68, "}"],
            r"image_006\.pts: all points coincide, the face box has size 0",
        ),
    ],
)
def test_names_the_pts_file_at_fault(lines, message, pts_source, tmp_path):
    (pts_source / "images" / "ibug" / "image_006.pts").write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        prepare("w300", pts_source, tmp_path)


def test_what_a_mac_leaves_beside_the_files_is_no_face(pts_source, tmp_path):
    before = prepare("w300", pts_source, tmp_path).counts
    for path in list((pts_source / "images").rglob("*.*")):
        path.with_name(f"._{path.name}").write_bytes(b"of a Mac")
    assert prepare("w300", pts_source, tmp_path).counts == before


def test_names_a_pts_file_without_image(pts_source, tmp_path):
    (pts_source / "images" / "ibug" / "image_006.jpg").unlink()
    with pytest.raises(
        DataError, match=r"image_006\.pts has no image image_006 beside"
    ):
        prepare("w300", pts_source, tmp_path)


def test_the_real_samples_agree_in_both_layouts(real_data, tmp_path):
    folder = real_data / "samples" / "300w"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    copy = tmp_path / "300w"
    # Of the challenging subset there are no images.
    ignored = shutil.ignore_patterns("*challenge*")
    shutil.copytree(folder, copy, ignore=ignored, copy_function=shutil.copyfile)
    info = prepare("w300", copy, tmp_path)
    assert info.counts == {"common": 4, "test": 1}
    by_csv = {s["image_id"]: s for s in read("w300", tmp_path, "common")}
    prepare("w300", copy, tmp_path, layout="pts")
    by_pts = {s["image_id"]: s for s in read("w300", tmp_path, "common")}
    assert by_csv.keys() == by_pts.keys() and len(by_csv) == 4
    for name, sample in by_csv.items():
        for key in ("points", "center", "scale", "image"):
            np.testing.assert_allclose(sample[key], by_pts[name][key], atol=1e-9)


def test_the_real_challenging_rows_follow_the_box_rule(real_data):
    path = real_data / "samples" / "300w" / CSV.format("valid_challenge")
    if not path.is_file():
        pytest.skip(f"no {path}")
    values = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, 140))
    assert len(values) == 135
    for row in values:
        np.testing.assert_allclose(
            row[:3], official_box(row[3:].reshape(68, 2)), atol=1e-9
        )


@pytest.mark.slow
def test_the_real_300w(real_data, tmp_path):
    folder = real_data / "300w"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    info = registry.prepare("w300", tmp_path, folder)
    assert info.counts == {"train": 1912, "common": 554}
    assert info.default_splits == {"train": "train", "eval": "common"}
    rows = np.loadtxt(
        folder / CSV.format("valid_common"),
        delimiter=",",
        skiprows=1,
        usecols=range(1, 140),
    )
    records = open_records("w300", tmp_path, "common")
    for index in (0, 200, 553):
        sample = records[index]
        np.testing.assert_array_equal(sample["points"].ravel(), rows[index, 3:])
        np.testing.assert_array_equal(sample["center"], rows[index, 1:3])
        assert sample["scale"] == rows[index, 0]
