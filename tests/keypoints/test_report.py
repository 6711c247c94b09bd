"""Tables of an evaluation of landmarks."""

import csv

import numpy as np
import pytest

from hrnet_jax.keypoints.report import point_rows, write_report


def read(path):
    with path.open(newline="") as file:
        return [*csv.reader(file)]


def test_files_have_the_errors_in_percent(tmp_path):
    errors = {"eyes": np.array([0.2, 0.05]), "box": np.array([0.1, 0.02])}
    of_points = np.array([[0.3, 0.1], [0.05, np.nan]])
    folder = tmp_path / "new" / "report"
    write_report(folder, ["b", "a"], errors, "eyes", of_points, ["nose", "chin"])
    assert read(folder / "faces.csv") == [
        ["face", "nme_percent/eyes", "nme_percent/box"],
        ["b", "20.0000", "10.0000"],
        ["a", "5.0000", "2.0000"],
    ]
    header, *rows = read(folder / "points.csv")
    assert header[2] == "mean_percent/eyes"
    assert rows == [
        ["nose", "2", "17.5000", "17.5000", "30.0000"],
        ["chin", "1", "10.0000", "10.0000", "10.0000"],
    ]
    assert read(folder / "ced.csv")[1:] == [
        ["0.0000", "0.0000"],
        ["5.0000", "50.0000"],
        ["20.0000", "100.0000"],
    ]
    assert (folder / "ced.png").stat().st_size > 1000


@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_a_point_of_no_face_has_no_error(names):
    rows = point_rows(np.array([[0.1, np.nan]]), names, "box")
    assert rows[1][:3] == [names[0] if names else "0", "1", "10.0000"]
    assert rows[2][1:] == ["0", "", "", ""]
