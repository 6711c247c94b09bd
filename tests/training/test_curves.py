"""Curves are drawn from what a run reported."""

import sys

import cv2
import pytest

from hrnet_jax.errors import CheckpointError
from hrnet_jax.training.curves import draw_curves
from hrnet_jax.training.reporting import Reporter
from tests.coloured import colours


def report(workdir, loss):
    reporter = Reporter(workdir, tensorboard=False)
    for step in (1, 2, 3):
        reporter.scalars(step, {"train/loss": loss / step, "train/learning_rate": 0.1})
    reporter.scalars(3, {"eval/mean_iou": 0.5})
    reporter.close()


def test_two_runs_give_another_picture_than_one(tmp_path):
    report(tmp_path / "a", 1.0)
    report(tmp_path / "b", 2.0)
    draw_curves([tmp_path / "a"], "mean_iou", tmp_path / "one.png")
    draw_curves([tmp_path / "a", tmp_path / "b"], "mean_iou", tmp_path / "two.png")
    one, two = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("one", "two"))
    assert one.shape == two.shape
    assert (one != two).any()
    assert colours(tmp_path / "one.png") == 1
    assert colours(tmp_path / "two.png") == 2


def test_a_notebook_keeps_its_own_way_to_draw(tmp_path, monkeypatch):
    # Both change how all pictures of the process are shown.
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.delattr("matplotlib.use")
    report(tmp_path / "a", 1.0)
    draw_curves([tmp_path / "a"], "mean_iou", tmp_path / "one.png")


def test_a_run_without_metrics_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(CheckpointError, match="metrics.jsonl"):
        draw_curves([tmp_path], "mean_iou", tmp_path / "x.png")
