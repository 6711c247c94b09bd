"""AFLW: the box column, the frontal subset, bad input."""

import json

import numpy as np
import pytest

from hrnet_jax.errors import DataError
from tests.data.landmark_files import (
    change_cell,
    official_box,
    official_header,
    prepare,
    random_points,
    read,
    write_csv,
    write_image,
)

FIRST = ("image_name", "scale", "box_size", "center_w", "center_h")
CSV = "face_landmarks_aflw_{}.csv"
FACES = {"train": ("0/a.jpg", "2/b.jpg"), "test": ("3/c.jpg", "3/d.jpg", "3/d.jpg")}


def row(name, seed):
    points = random_points(19, seed)
    scale, x, y = official_box(points)
    return [name, scale, 31.5 + seed, x, y, *points.ravel()]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "AFLW"
    for part, names in FACES.items():
        rows = [row(name, seed) for seed, name in enumerate(names)]
        write_csv(folder / CSV.format(part), [official_header(19, FIRST), *rows])
        for name in names:
            write_image(folder / "images" / name)
    # The second face of d.jpg.
    frontal = [official_header(19, FIRST), row("3/d.jpg", 2)]
    write_csv(folder / CSV.format("test_frontal"), frontal)
    return folder


def test_box_size_is_the_column(source, tmp_path):
    info = prepare("aflw", source, tmp_path)
    assert info.counts == {"train": 2, "test": 3, "frontal": 1}
    assert info.default_splits == {"train": "train", "eval": "test", "test": "test"}
    assert not info.tight_boxes
    assert info.default_normalizer == "box" and info.normalizers == {}
    samples = read("aflw", tmp_path, "test")
    assert [sample["box_size"] for sample in samples] == [31.5, 32.5, 33.5]
    for seed, sample in enumerate(samples):
        np.testing.assert_array_equal(sample["points"], random_points(19, seed))


def test_faces_of_one_image_have_their_own_names(source, tmp_path):
    prepare("aflw", source, tmp_path)
    names = [sample["image_id"] for sample in read("aflw", tmp_path, "test")]
    assert names == ["3/c", "3/d", "3/d#2"]


def test_frontal_is_found_by_image_and_points(source, tmp_path):
    info = prepare("aflw", source, tmp_path)
    assert info.subsets == {"frontal": {"test": (2,)}}
    (sample,) = read("aflw", tmp_path, "frontal")
    assert sample["image_id"] == "3/d#2" and sample["box_size"] == 33.5


def test_a_subset_row_that_the_test_set_lacks_is_an_error(source, tmp_path):
    change_cell(source / CSV.format("test_frontal"), 2, 8, "1.5")
    with pytest.raises(
        DataError,
        match=r"test_frontal\.csv:2 names .*3/d\.jpg with points that no row of .*"
        r"aflw_test\.csv has",
    ):
        prepare("aflw", source, tmp_path)
    (source / CSV.format("test")).unlink()
    with pytest.raises(
        DataError, match=r"frontal\.csv is a subset of .*test\.csv, which is missing"
    ):
        prepare("aflw", source, tmp_path)


def test_a_row_counts_only_once(source, tmp_path):
    twice = [official_header(19, FIRST), row("3/d.jpg", 2), row("3/d.jpg", 2)]
    write_csv(source / CSV.format("test_frontal"), twice)
    with pytest.raises(DataError, match=r"test_frontal\.csv:3 names"):
        prepare("aflw", source, tmp_path)


@pytest.mark.parametrize(
    ("line", "column", "text", "message"),
    [
        (1, 2, "center_w", r"aflw_train\.csv: column 3 is 'center_w', expected 'box_s"),
        (2, 2, "0", r"aflw_train\.csv:2: the face box has no size \(box_size 0\)"),
        (3, 1, "-1", r"aflw_train\.csv:3: the face box has no size \(scale -1\)"),
        (
            3,
            0,
            "",
            r"aflw_train\.csv:3: the image is called '', expected the name of a",
        ),
        (3, 7, "inf", r"aflw_train\.csv:3, column 'original_1_x': 'inf' is not a fin"),
    ],
)
def test_names_the_row_at_fault(line, column, text, message, source, tmp_path):
    change_cell(source / CSV.format("train"), line, column, text)
    with pytest.raises(DataError, match=message):
        prepare("aflw", source, tmp_path)


def test_says_what_was_expected(source, tmp_path):
    for path in source.glob("*.csv"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"has no AFLW: expected .*train\.csv or .*test"
    ):
        prepare("aflw", source, tmp_path)


def test_the_real_sample_is_that_of_another_reader(real_data, tmp_path):
    folder = real_data / "samples" / "aflw"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    info = prepare("aflw", folder, tmp_path)
    assert info.counts == {"test": 1} and info.default_splits["train"] == "test"
    (sample,) = read("aflw", tmp_path, "test")
    path = folder / "annotations" / "face_landmarks_aflw_test.json"
    (theirs,) = json.loads(path.read_text())["annotations"]
    keypoints = np.reshape(theirs["keypoints"], (19, 3))
    np.testing.assert_allclose(sample["points"], keypoints[:, :2], atol=1e-9)
    np.testing.assert_array_equal(sample["center"], theirs["center"])
    assert (sample["scale"], sample["box_size"]) == (theirs["scale"], 128.0)
