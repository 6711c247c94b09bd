"""The cumulative error distribution: its corners, its picture, its errors."""

import sys

import cv2
import numpy as np
import pytest

from hrnet_jax.errors import DataError
from hrnet_jax.keypoints.ced import cumulative_error, draw_ced

ERRORS = np.float64([0.09, 0.01, 0.05, 0.2])


def picture(path):
    return cv2.imread(str(path))


def test_the_corners_are_the_share_of_faces_with_at_most_each_error():
    errors, shares = cumulative_error(ERRORS)
    assert errors.tolist() == [0, 0.01, 0.05, 0.09, 0.2]
    assert shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    for error, share in zip(errors, shares, strict=True):
        assert share == (error >= ERRORS).mean()


def test_the_legend_gives_error_failures_and_area_of_each_curve(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    texts, lines = [], []
    save = Figure.savefig

    def spy(figure, *args, **kwargs):
        (axes,) = figure.axes
        texts.extend(text.get_text() for text in figure.legends[0].get_texts())
        lines.extend(line.get_xydata() for line in axes.lines[:2])
        texts.append(axes.get_xlabel())
        assert axes.get_xlim() == (0, 10)
        assert {line.get_drawstyle() for line in axes.lines[:2]} == {"steps-post"}
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    curves = {"common": ERRORS, "one": ERRORS[:1]}
    draw_ced(curves, tmp_path / "ced.png", normalizer="inter_pupil")
    common, one, axis = texts
    assert common.splitlines() == [
        "common, 4 faces: NME 8.75 %",
        "at 0.08: FR 50.00 %, AUC 31.25 %",
        "at 0.10: FR 25.00 %, AUC 37.50 %",
    ]
    assert one.splitlines() == [
        "one, 1 face: NME 9.00 %",
        "at 0.08: FR 100.00 %, AUC 0.00 %",
        "at 0.10: FR 0.00 %, AUC 10.00 %",
    ]
    assert axis == "error normalised by inter-pupil, %"
    expected = [[0, 0], [1, 25], [5, 50], [9, 75], [20, 100], [20, 100]]
    np.testing.assert_allclose(lines[0], expected)
    # Also a curve that ends inside goes on to the edge.
    np.testing.assert_allclose(lines[1], [[0, 0], [9, 100], [20, 100]])
    assert picture(tmp_path / "ced.png").shape[1] > 600


def test_a_notebook_keeps_its_own_way_to_draw(tmp_path, monkeypatch):
    # Both change how all pictures of the process are shown.
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.delattr("matplotlib.use")
    draw_ced({"common": ERRORS}, tmp_path / "ced.png", normalizer="inter_pupil")
    assert picture(tmp_path / "ced.png").shape[1] > 600


def test_every_curve_is_in_the_picture(tmp_path):
    draw_ced({"a": ERRORS}, tmp_path / "one.png", normalizer="box")
    draw_ced({"a": ERRORS, "b": ERRORS / 2}, tmp_path / "two.png", normalizer="box")
    draw_ced({"a": ERRORS}, tmp_path / "again.png", normalizer="box")
    one, two, again = (
        picture(tmp_path / f"{name}.png") for name in ("one", "two", "again")
    )
    assert one.shape == two.shape
    assert (one != two).any() and (one == again).all()


def test_what_cannot_be_drawn_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="at least one curve"):
        draw_ced({}, tmp_path / "x.png", normalizer="box")
    with pytest.raises(ValueError, match=r"errors of shape \(0,\)"):
        draw_ced({"a": np.zeros(0)}, tmp_path / "x.png", normalizer="box")
    with pytest.raises(DataError, match="face 0: error nan"):
        draw_ced({"a": np.float64([np.nan])}, tmp_path / "x.png", normalizer="box")
    with pytest.raises(DataError, match=r"x\.what: cannot be written"):
        draw_ced({"a": ERRORS}, tmp_path / "x.what", normalizer="box")
    with pytest.raises(DataError, match=r"gone/x\.png: cannot be written"):
        draw_ced({"a": ERRORS}, tmp_path / "gone" / "x.png", normalizer="box")
