"""COFW68: published predictions give the published errors; broken files are named."""

import numpy as np
import pytest
import scipy.io

from hrnet_jax.data.points.point_sets import W300
from hrnet_jax.errors import DataError
from hrnet_jax.keypoints import cofw68
from hrnet_jax.keypoints.metrics import failure_rate, nme, normalizer_from_points

FACES = 12


def faces():
    """Points with three decimals, as the files have them, and occlusion."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 500, (FACES, 68, 2)).round(3)
    return points, rng.random((FACES, 68)) < 0.3


def lines_of(points, occluded, order):
    lines = []
    for face in order:
        lines.append(f"{face + 1} ")
        for values in (*points[face].T, occluded[face].astype(int)):
            lines.append(" ".join(str(value) for value in values) + " ")
    return lines


@pytest.fixture
def source(tmp_path):
    """The layout of the benchmark, small."""
    points, occluded = faces()
    folder = tmp_path / "test_annotations"
    folder.mkdir()
    for face in range(FACES):
        content = {"Points": points[face], "Occ": occluded[face : face + 1]}
        scipy.io.savemat(folder / f"{face + 1}_points.mat", content)
    order = np.random.default_rng(1).permutation(FACES)
    lines = lines_of(points, occluded, order)
    (tmp_path / "method.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_reads_the_faces_in_the_order_of_their_numbers(source):
    points, occluded = faces()
    read_points, read_occluded = cofw68.read_annotations(source / "test_annotations")
    np.testing.assert_array_equal(read_points, points)
    np.testing.assert_array_equal(read_occluded, occluded)
    assert read_points.dtype == np.float64 and read_occluded.dtype == bool
    predicted = cofw68.read_predictions(source / "method.txt")
    np.testing.assert_array_equal(predicted, points)


def test_what_a_mac_leaves_beside_the_files_is_no_face(source):
    (source / "test_annotations" / "._1_points.mat").write_bytes(b"of a Mac")
    points, _ = cofw68.read_annotations(source / "test_annotations")
    np.testing.assert_array_equal(points, faces()[0])


def test_predictions_as_windows_writes_them(source):
    path = source / "method.txt"
    lines = path.read_text().splitlines()
    path.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    np.testing.assert_array_equal(cofw68.read_predictions(path), faces()[0])


def damage_annotations(folder, kind):
    path = folder / "7_points.mat"
    content = scipy.io.loadmat(path)
    if kind == "missing file":
        path.unlink()
    elif kind == "other name":
        path.rename(folder / "seven_points.mat")
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "no MATLAB file":
        path.write_text("points " * 99)
    elif kind == "HDF5":
        path.write_bytes(path.read_bytes()[:124] + b"\0\2IM" + bytes(400))
    elif kind == "other variables":
        scipy.io.savemat(path, {"pts": content["Points"]})
    elif kind == "29 points":
        scipy.io.savemat(
            path, {"Points": content["Points"][:29], "Occ": content["Occ"]}
        )
    elif kind == "NaN":
        content["Points"][3] = np.nan
        scipy.io.savemat(path, {key: content[key] for key in ("Points", "Occ")})
    else:
        for each in folder.iterdir():
            each.unlink()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing file", r"/7_points\.mat is missing; expected the numbers 1 to 12"),
        ("other name", r"seven_points\.mat: expected a name such as 1_points\.mat"),
        ("truncated", r"7_points\.mat: not a MATLAB 5 file"),
        ("no MATLAB file", r"7_points\.mat: not a MATLAB 5 file"),
        ("HDF5", r"7_points\.mat: not a MATLAB 5 file"),
        ("other variables", r"7_points\.mat holds pts; expected numbers Points and"),
        ("29 points", r"7_points\.mat: Points \(29, 2\) and Occ \(68,\); expected"),
        ("NaN", r"7_points\.mat: Points are not all finite"),
        ("empty", r"test_annotations holds no files \*_points\.mat"),
    ],
)
def test_names_the_annotation_at_fault(kind, message, source):
    damage_annotations(source / "test_annotations", kind)
    with pytest.raises(DataError, match=message):
        cofw68.read_annotations(source / "test_annotations")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="gone: no such folder"):
        cofw68.read_annotations(tmp_path / "gone")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], r"method\.txt has 47 lines; expected 4 a face"),
        (lambda lines: [], r"method\.txt has 0 lines"),
        (lambda lines: lines[4:], r"method\.txt has no face \d+; expected all from 1"),
        (lambda lines: lines[:4] + lines[:4], r"method\.txt:5: face \d+ occurs twice"),
        (lambda lines: ["0", *lines[1:]], r"method\.txt:1: '0' is not the number of"),
        (lambda lines: ["1.5", *lines[1:]], r"method\.txt:1: '1\.5' is not the num"),
        (
            lambda lines: [lines[0], lines[1][4:] + "x", *lines[2:]],
            r"method\.txt:2: could not convert",
        ),
        (
            lambda lines: [*lines[:2], "1 2 3", *lines[3:]],
            r"method\.txt:3: 3 numbers; expected 68",
        ),
        (
            lambda lines: [*lines[:2], "nan " * 68, *lines[3:]],
            r"method\.txt:3: 0 numbers; expected 68",
        ),
    ],
)
def test_names_the_line_of_a_prediction_at_fault(change, message, source):
    path = source / "method.txt"
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(DataError, match=message):
        cofw68.read_predictions(path)


def test_predictions_that_are_no_text_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*gone\.txt: No such file"):
        cofw68.read_predictions(tmp_path / "gone.txt")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match=r"a\.png is not a text file in UTF-8"):
        cofw68.read_predictions(tmp_path / "a.png")


def test_the_published_predictions_have_the_published_error(real_data):
    folder = real_data / "samples" / "cofw68"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    points, occluded = cofw68.read_annotations(folder / "test_annotations")
    assert points.shape == (507, 68, 2) and occluded.shape == (507, 68)
    predicted = cofw68.read_predictions(folder / "Results" / "CFSS_COFW68.txt")
    normalizer = normalizer_from_points(points, W300.normalizers["inter_ocular"])
    errors = nme(predicted, points, normalizer)
    # Published: 6.28 and 9.07 (Ghiasi and Fowlkes' table of the benchmark).
    assert 100 * errors.mean() == pytest.approx(6.283, abs=5e-4)
    assert 100 * failure_rate(errors, 0.10) == pytest.approx(9.07, abs=5e-3)
