"""Curves are drawn from what runs reported, and metrics found by their names."""

import json
import sys

import cv2
import matplotlib.figure
import numpy as np
import pytest

from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.curves import draw_curves, smoothed
from hrnet_jax.training.recorded import find_metric, list_metrics, read_recorded
from hrnet_jax.training.reporting import METRICS_FILE, Reporter
from hrnet_jax.workdir.ranking import ranking_metric
from tests import tiny
from tests.coloured import colours


def report(workdir, loss=1.0, rates=(0.1, 0.1, 0.1), ranking="mean_iou", **metrics):
    """A run of three steps; its evaluation has `metrics`."""
    reporter = Reporter(workdir, tensorboard=False)
    for step, rate in enumerate(rates, 1):
        reporter.scalars(step, {"train/loss": loss / step, "train/learning_rate": rate})
    if metrics:
        reporter.scalars(3, {f"eval/{name}": value for name, value in metrics.items()})
    reporter.close()
    if ranking:
        meta = workdir / "checkpoints" / "3" / "meta"
        meta.mkdir(parents=True)
        (meta / "metadata").write_text(json.dumps({"best_metric": [ranking, "max"]}))
    return workdir


@pytest.fixture
def drawn(monkeypatch):
    """Panels of the last picture: title -> lines of it, [(label, steps, values)]."""
    figures = []
    save = matplotlib.figure.Figure.savefig

    def spy(figure, *args, **kwargs):
        figures.append(figure)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", spy)

    def panels():
        return {
            axes.get_title(loc="left"): [
                (line.get_label(), [*line.get_xdata()], [*line.get_ydata()])
                for line in axes.get_lines()
            ]
            for axes in figures[-1].axes
        }

    panels.figures = figures
    return panels


def test_two_runs_give_another_picture_than_one(tmp_path):
    report(tmp_path / "a", 1.0, mean_iou=0.5)
    report(tmp_path / "b", 2.0, mean_iou=0.5)
    assert draw_curves([tmp_path / "a"], tmp_path / "one.png") == []
    assert draw_curves([tmp_path / "a", tmp_path / "b"], tmp_path / "two.png") == []
    one, two = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("one", "two"))
    assert one.shape == two.shape
    assert (one != two).any()
    assert colours(tmp_path / "one.png") == 1
    assert colours(tmp_path / "two.png") == 2


def test_a_notebook_keeps_its_own_way_to_draw(tmp_path, monkeypatch):
    # Both change how all pictures of the process are shown.
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.delattr("matplotlib.use")
    draw_curves([report(tmp_path / "a")], tmp_path / "one.png")


def test_by_default_each_run_shows_what_ranks_it(drawn, tmp_path):
    streets = report(tmp_path / "streets", mean_iou=0.5, pixel_accuracy=0.8)
    faces = report(tmp_path / "faces", 2.0, ranking="nme", nme=0.04)
    assert draw_curves([streets, faces], tmp_path / "x.png") == []
    assert drawn() == {
        "training loss": [
            ("streets", [1, 2, 3], [1.0, 0.5, 1 / 3]),
            ("faces", [1, 2, 3], [2.0, 1.0, 2 / 3]),
        ],
        "evaluation mean_iou": [("streets", [3], [0.5]), ("faces", [], [])],
        "evaluation nme": [("streets", [], []), ("faces", [3], [0.04])],
        "learning rate": [
            ("streets", [1, 2, 3], [0.1, 0.1, 0.1]),
            ("faces", [1, 2, 3], [0.1, 0.1, 0.1]),
        ],
    }


def test_metrics_that_are_asked_for_are_all_that_is_drawn(drawn, tmp_path):
    run = report(tmp_path / "a", mean_iou=0.5, **{"iou/Car": 0.25})
    names = ["loss", "iou/Car", "eval/mean_iou", "mean_iou"]
    assert draw_curves([run], tmp_path / "x.png", names) == []
    assert list(drawn()) == [
        "training loss",
        "evaluation iou/Car",
        "evaluation mean_iou",
    ]


def test_a_metric_that_one_run_lacks_is_remarked(drawn, tmp_path):
    a = report(tmp_path / "a", mean_iou=0.5)
    b = report(tmp_path / "b", ranking="nme", nme=0.04)
    remarks = draw_curves([a, b], tmp_path / "x.png", ["nme"])
    assert remarks == [f"{a} has no eval/nme yet"]
    assert drawn() == {"evaluation nme": [("a", [], []), ("b", [3], [0.04])]}


@pytest.mark.parametrize("metrics", [[], ["loss", "mean_iou"]])
def test_a_run_without_evaluations_says_so(metrics, drawn, tmp_path):
    run = report(tmp_path / "a")
    remarks = draw_curves([run], tmp_path / "x.png", metrics)
    assert remarks == [f"{run} has no eval/mean_iou yet"]
    panel = drawn.figures[-1].axes[1]
    assert [text.get_text() for text in panel.texts] == ["no value yet"]


def test_where_nothing_says_what_ranks_a_run_it_is_remarked(drawn, tmp_path):
    run = report(tmp_path / "a", ranking=None, mean_iou=0.5)
    (remark,) = draw_curves([run], tmp_path / "x.png")
    assert remark == (
        f"{run}: nothing says which metric ranks its checkpoints; --metric names one, "
        "--list shows all"
    )
    assert list(drawn()) == ["training loss", "learning rate"]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_suffix_is_the_format(suffix, tmp_path):
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    path = tmp_path / f"x.{suffix}"
    draw_curves([report(tmp_path / "a")], path)
    assert path.read_bytes().startswith(begins[suffix])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.bmpp", r"x.bmpp: expected the name of a picture, which ends in .png, .svg"),
        ("x", r"x: expected the name of a picture, which ends in .png, .svg or .pdf$"),
        ("gone/x.png", r"gone/x.png: no folder .*gone$"),
    ],
)
def test_a_wrong_name_of_a_picture_is_refused(name, message, tmp_path):
    run = report(tmp_path / "a")
    with pytest.raises(ConfigError, match=message):
        draw_curves([run], tmp_path / name)


def test_smoothing_averages_with_the_past(drawn, tmp_path):
    run = report(tmp_path / "a", mean_iou=0.5)
    draw_curves([run], tmp_path / "x.png", smooth=0.5)
    raw, smooth = drawn()["training loss"]
    assert raw[2] == [1.0, 0.5, 1 / 3]
    expected = [1, (0.5 + 0.5 * 1) / 1.5, (1 / 3 + 0.5 * 0.5 + 0.25 * 1) / 1.75]
    assert smooth[2] == pytest.approx(expected)
    # Neither evaluations nor rates.
    assert [len(lines) for lines in drawn().values()] == [2, 1, 1]


def test_smoothing_leaves_out_what_is_not_finite():
    values = smoothed(np.array([np.nan, 2.0, np.inf, 4.0]), 0.5)
    assert np.isnan(values[0])
    assert values[1:].tolist() == [2.0, 2.0, (4 + 0.25 * 2) / 1.25]


@pytest.mark.parametrize("weight", [-0.1, 1.0])
def test_a_wrong_weight_is_refused(weight, tmp_path):
    run = report(tmp_path / "a")
    with pytest.raises(ConfigError, match="expected 0 .none. to below 1"):
        draw_curves([run], tmp_path / "x.png", smooth=weight)


@pytest.mark.parametrize(
    ("rates", "scale", "least"),
    [
        ((0.1, 0.05, 0.02), "linear", None),
        ((0.1, 0.02, 0.005), "log", 0.005),
        # Ends at zero: four powers of ten are enough.
        ((0.1, 1e-7, 0.0), "log", 1e-5),
        ((0.0, 0.0, 0.0), "linear", None),
    ],
)
def test_rates_that_differ_much_have_a_logarithmic_axis(
    rates, scale, least, drawn, tmp_path
):
    draw_curves([report(tmp_path / "a", rates=rates)], tmp_path / "x.png")
    panel = drawn.figures[-1].axes[-1]
    assert panel.get_yscale() == scale
    if least:
        assert panel.get_ylim() == pytest.approx((least / 1.5, 0.15))


def test_values_that_are_not_finite_are_numbers(drawn, tmp_path):
    reporter = Reporter(tmp_path, tensorboard=False)
    reporter.scalars(1, {"train/loss": float("nan"), "train/learning_rate": 0.1})
    reporter.scalars(2, {"train/loss": float("inf"), "train/learning_rate": 0.1})
    reporter.close()
    draw_curves([tmp_path], tmp_path / "x.png", ["loss"])
    ((_, _, values),) = drawn()["training loss"]
    assert np.isnan(values[0]) and values[1] == np.inf


def test_runs_of_the_same_name_are_told_apart(drawn, tmp_path):
    runs = [report(tmp_path / place / "seed0") for place in ("a", "b")]
    draw_curves(runs, tmp_path / "x.png")
    assert [line[0] for line in drawn()["training loss"]] == [*map(str, runs)]


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("mean_uoi", "eval/mean_iou, eval/mean_accuracy"),
        ("iou/Caar", "eval/iou/Car, "),
        ("lss", "train/loss, "),
    ],
)
def test_an_unknown_metric_names_the_nearest_first(name, begins, tmp_path):
    scores = {"mean_iou": 0.5, "mean_accuracy": 0.5, "iou/Car": 0.1, "iou/Sky": 0.2}
    run = read_recorded(report(tmp_path / "a", **scores))
    message = rf"^no metric '{name}' in .*a; there are {begins}"
    with pytest.raises(ConfigError, match=message) as error:
        find_metric([run], name)
    assert "--list" not in str(error.value)


def test_of_many_metrics_an_error_lists_the_nearest(tmp_path):
    scores = {f"iou/class {number}": 0.5 for number in range(30)}
    run = read_recorded(report(tmp_path / "a", mean_iou=0.5, **scores))
    message = "there are eval/mean_iou, .* and 25 more, which --list shows$"
    with pytest.raises(ConfigError, match=message):
        find_metric([run], "mean_io")


def test_a_name_of_both_kinds_is_asked_about(tmp_path):
    run = read_recorded(report(tmp_path / "a", loss=1.0, mean_iou=0.5))
    run.curves["eval/loss"] = run.curves["train/loss"]
    with pytest.raises(ConfigError, match="'loss' may be eval/loss or train/loss; nam"):
        find_metric([run], "loss")
    assert find_metric([run], "train/loss") == "train/loss"


def test_the_list_has_every_metric(tmp_path):
    runs = [report(tmp_path / "a", mean_iou=0.5), report(tmp_path / "b")]
    blocks = list_metrics([*map(read_recorded, runs)]).split("\n\n")
    first, second = (block.splitlines() for block in blocks)
    assert first[0] == f"{runs[0]} (ranked by eval/mean_iou)"
    assert second[0] == f"{runs[1]} (ranked by eval/mean_iou, not evaluated yet)"
    assert [line.split() for line in first[2:]] == [
        ["eval/mean_iou", "1", "3", "0.5"],
        ["train/learning_rate", "3", "3", "0.1"],
        ["train/loss", "3", "3", "0.3333"],
    ]


def test_a_run_without_metrics_is_an_error_that_names_the_file(tmp_path):
    message = r"metrics\.jsonl: missing or empty; expected the work directory"
    with pytest.raises(CheckpointError, match=message):
        read_recorded(tmp_path)


def test_a_misspelt_folder_is_one_line_with_the_nearest(tmp_path):
    report(tmp_path / "streets")
    with pytest.raises(CheckpointError) as error:
        read_recorded(tmp_path / "streest")
    assert str(error.value) == (
        f"{tmp_path}/streest: no such folder; expected the work directory of a run; "
        f"did you mean '{tmp_path}/streets'?"
    )
    with pytest.raises(
        CheckpointError, match="gone/x: no such folder; expected .* run$"
    ):
        read_recorded(tmp_path / "gone" / "x")
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: is a file; expected"):
        read_recorded(tmp_path / "streets" / METRICS_FILE)


def test_the_newest_checkpoint_says_what_ranks_a_run(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    workdir = tiny.copy_of_finished_run(tmp_path)
    assert ranking_metric(workdir) == "mean_iou"
    for path in workdir.glob("checkpoints/*/meta/metadata"):
        if path.parents[1].name != "8":
            path.write_text(json.dumps({"best_metric": ["old", "max"]}))
    assert ranking_metric(workdir) == "mean_iou"
    # Of an earlier version it is the task that knows.
    tiny.forget_ranking(workdir)
    assert ranking_metric(workdir) == "mean_iou"
    (workdir / "config.json").unlink()
    assert ranking_metric(workdir) is None
    (workdir / "config.json").write_text('{"task": "of somebody else"}')
    assert ranking_metric(workdir) is None
