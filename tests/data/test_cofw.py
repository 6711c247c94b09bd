"""COFW: HDF5 of MATLAB, transposed images, occlusion flags, other versions."""

import json
import shutil

import cv2
import h5py
import numpy as np
import pytest
import scipy.io

from hrnet_jax.data.sources.cofw import open_matlab
from hrnet_jax.errors import DataError
from tests.data.landmark_files import official_box, prepare, read
from tests.data.matlab_files import annotation_of, image_of, write_matlab


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "COFW"
    folder.mkdir()
    for split, count in (("train", 3), ("test", 2)):
        write_matlab(
            folder / f"COFW_{split}_color.mat",
            split,
            [annotation_of(index) for index in range(count)],
            [image_of(index) for index in range(count)],
        )
    return folder


def test_reads_images_points_and_occlusion(source, tmp_path):
    info = prepare("cofw", source, tmp_path)
    assert info.counts == {"train": 3, "test": 2}
    assert info.max_size["train"] == (30, 40)
    assert info.tight_boxes
    assert info.point_origin == 1.0 and info.default_normalizer == "inter_ocular"
    for index, sample in enumerate(read("cofw", tmp_path, "train")):
        image, values = image_of(index), annotation_of(index)
        if image.ndim == 2:
            image = np.stack([image] * 3, axis=2)
        np.testing.assert_array_equal(sample["image"], image)
        points = np.stack([values[:29], values[29:58]], axis=1)
        np.testing.assert_array_equal(sample["points"], points)
        np.testing.assert_array_equal(sample["visible"], 1 - values[58:])
        assert sample["annotated"].all()
        scale, x, y = official_box(points)
        np.testing.assert_array_equal(sample["center"], (x, y))
        assert sample["scale"] == scale and sample["box_size"] == scale * 200
        assert sample["image_id"] == f"train_{index + 1:04d}"


def test_files_may_have_other_names_and_one_may_be_absent(source, tmp_path):
    (source / "COFW_test_color.mat").unlink()
    (source / "COFW_train_color.mat").rename(source / "mine.mat")
    assert prepare("cofw", source, tmp_path, train="mine.mat").counts == {"train": 3}
    with pytest.raises(
        DataError,
        match=r"has no COFW: expected COFW_train_color\.mat or COFW_test_color\.mat "
        r"\(options train and test name other files\)",
    ):
        prepare("cofw", source, tmp_path)
    with pytest.raises(
        DataError, match=r"COFW/gone\.mat is missing \(option test=gone\.mat\)"
    ):
        prepare("cofw", source, tmp_path, train="mine.mat", test="gone.mat")


def test_names_a_file_of_another_version(source, tmp_path):
    path = source / "COFW_test_color.mat"
    scipy.io.savemat(path, {"phisT": np.zeros((1, 87))})
    with pytest.raises(
        DataError,
        match=r"COFW_test_color\.mat is a MATLAB 5\.0 file, expected MATLAB 7\.3 as "
        r"COFW comes; in MATLAB: save\(name, '-v7\.3'\)",
    ):
        prepare("cofw", source, tmp_path)
    path.write_bytes(b"something else")
    with (
        pytest.raises(DataError, match=r"color\.mat is no HDF5 file, expected MATLAB"),
        open_matlab(path),
    ):
        pass


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_names_a_truncated_file(kept, source, tmp_path):
    path = source / "COFW_test_color.mat"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match=r"color\.mat is truncated or damaged: .*trunc"):
        prepare("cofw", source, tmp_path)


def test_damage_that_shows_while_reading_is_named(source):
    path = source / "COFW_test_color.mat"
    with (
        pytest.raises(
            DataError, match=r"color\.mat is truncated or damaged: bad block"
        ),
        open_matlab(path),
    ):
        raise OSError("bad block")


def changed(source, change):
    with h5py.File(source / "COFW_test_color.mat", "r+") as file:
        change(file)


def replace_annotations(values):
    def change(file):
        del file["phisT"]
        file["phisT"] = np.asarray(values, float).T

    return change


def with_value(position, value):
    values = np.stack([annotation_of(0), annotation_of(1)])
    values[1, position] = value
    return replace_annotations(values)


def with_image(pixels):
    def change(file):
        reference = file["IsT"][0, 1]
        name = file[reference].name
        del file[name]
        stored = file.create_dataset(name, data=pixels.T)
        file["IsT"][0, 1] = stored.ref

    return change


def replace(key, values):
    def change(file):
        del file[key]
        file[key] = values

    return change


def as_group(key):
    def change(file):
        del file[key]
        file.create_group(key)

    return change


def empty_cell(file):
    file["IsT"][0, 1] = h5py.Reference()


def cell_of_group(file):
    file["IsT"][0, 1] = file.create_group("#refs#/group").ref


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file.pop("phisT"),
            r"test_color\.mat has no array 'phisT' \(found: IsT\); the test file of "
            + "COFW holds IsT and phisT",
        ),
        (
            replace_annotations(np.zeros((2, 57))),
            r"test_color\.mat: phisT has shape \(2, 57\), expected 87 columns \(29 x, y",
        ),
        (
            replace_annotations(np.zeros((5, 87))),
            r"test_color\.mat: 2 images in IsT, 5 rows in phisT",
        ),
        (
            with_value(31, np.nan),
            r"test_color\.mat: face 2, point 2 y: nan is not a finite number",
        ),
        (with_value(60, 7), r"face 2: occlusion flags must be 0 or 1, got"),
        (
            replace_annotations(np.ones((2, 87))),
            r"face 1: all points coincide, the face box has size 0",
        ),
        (
            with_image(np.zeros((30, 40), np.float32)),
            r"face 2 is float32 of shape \(30, 40\), expected uint8 grey or RGB",
        ),
        (
            with_image(np.zeros((30, 40, 4), np.uint8)),
            r"face 2 has 4 channels, expected 1 or 3",
        ),
        (
            as_group("phisT"),
            r"test_color\.mat has no array 'phisT' \(found: IsT, phisT\)",
        ),
        (as_group("IsT"), r"test_color\.mat has no array 'IsT' \(found: IsT, phisT\)"),
        (
            replace("IsT", np.zeros((2, 1))),
            r"test_color\.mat: IsT holds float64, expected a MATLAB cell of images",
        ),
        (
            replace("phisT", np.full((87, 2), b"x")),
            r"test_color\.mat: phisT holds \|S1, expected a matrix of numbers",
        ),
        (empty_cell, r"face 2 has no image in the cell IsT"),
        (cell_of_group, r"face 2 has no image in the cell IsT"),
    ],
)
def test_names_what_is_wrong_in_a_file(change, message, source, tmp_path):
    changed(source, change)
    with pytest.raises(DataError, match=message):
        prepare("cofw", source, tmp_path)


def test_the_keys_decide_the_split(source, tmp_path):
    shutil.copy(source / "COFW_train_color.mat", source / "COFW_test_color.mat")
    with pytest.raises(DataError, match=r"no array 'IsT' \(found: IsTr, phisTr\)"):
        prepare("cofw", source, tmp_path)


def test_the_real_sample_settles_the_origin(real_data, tmp_path):
    """mmpose's conversion of the same face counts pixels from 0."""
    folder = real_data / "samples" / "cofw"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    info = prepare("cofw", folder, tmp_path, test="COFW_test_color_mini.mat")
    (sample,) = read("cofw", tmp_path, "test")
    document = json.loads((folder / "annotations" / "cofw_test.json").read_text())
    theirs = np.reshape(document["annotations"][0]["keypoints"], (29, 3))
    np.testing.assert_allclose(
        sample["points"] - info.point_origin, theirs[:, :2], atol=1e-9
    )
    np.testing.assert_array_equal(sample["visible"] + 1, theirs[:, 2])
    image = cv2.imread(str(folder / "images" / "001766.jpg"))[..., ::-1]
    np.testing.assert_array_equal(sample["image"], image)
