"""The report of runs: its numbers, its structure, and the errors of its command line."""

import json
import re

import numpy as np
import pytest

from hrnet_jax.data.records import open_records
from hrnet_jax.pages.report import write_report
from hrnet_jax.runtime.environment import environment
from hrnet_jax.workdir.files import write_json
from tests import tiny
from tests.pages.reading import Page, run_script


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The report of the tiny run, as a file."""
    out = tmp_path_factory.mktemp("report") / "new" / "tiny.html"
    assert write_report([tiny.finished_run()], out, worst=3) == out
    return out


@pytest.fixture(scope="module")
def page(made):
    return Page(made.read_text())


def test_every_metric_is_that_of_the_evaluation(page):
    metrics = tiny.result(tiny.finished_run())["metrics"]
    rows = page.table("metric")
    assert rows.pop("metric") == [f"finished, val, step {tiny.BEST_STEP}"]
    assert rows == {name: [f"{value:.4f}"] for name, value in metrics.items()}
    classes = page.table("class")
    assert classes["class"][2:] == ["iou", "dice", "precision", "recall"]
    for name in ("background", "disc", "star"):
        assert classes[name][2] == f"{metrics[f'iou/{name}']:.4f}"
        # Of each class the recall is on the diagonal.
        confusion = page.table("true \\ predicted")
        share = confusion[name][confusion["true \\ predicted"].index(name)]
        assert float(share) == round(100 * float(classes[name][5]))


def test_the_worst_are_shown_with_their_scores(page):
    images = [*page.table("image").items()][1:]
    assert len(images) == tiny.VAL_IMAGES
    ious = [float(cells[0]) for _, cells in images]
    assert ious == sorted(ious)
    shown = page.all("img")
    assert [image["alt"] for image in shown] == [
        f"prediction and truth of {name}" for name, _ in images[:3]
    ]
    for image in shown:
        assert image["src"].startswith("data:image/jpeg;base64,")
        assert 320 <= int(image["width"]) <= 960
    assert f"{images[0][0]}: mean_iou {images[0][1][0]}" in page.text
    assert "no pixel is labelled ring" in page.text


def test_curves_are_those_of_the_metrics_file(page):
    lines = tiny.learned(tiny.finished_run())
    (loss,) = page.data["curve-0"]
    assert loss["title"] == "training loss"
    expected = [line["train/loss"] for line in lines if "train/loss" in line]
    assert loss["series"][0]["y"] == pytest.approx(expected, rel=1e-6)
    titles = [chart["title"] for chart in page.data["curve-other"]]
    assert "evaluation iou/disc" in titles and "evaluation mean_iou" not in titles


def test_what_differs_what_ran_and_what_repeats_it(page):
    rows = page.table("key")
    assert rows["num_steps"][1] == "8" and rows["num_steps"][0] != "8"
    assert "seed" not in rows
    here = environment()
    recorded = page.table("recorded")
    assert recorded["jax"] == [here["versions"]["jax"]]
    assert recorded["devices"] == [here["devices"]]
    run = tiny.finished_run()
    assert f"scripts/train.py --config={run}/config.json --workdir={run}_again" in (
        page.text
    )
    assert f"scripts/evaluate.py --workdir={run} --step=best" in page.text


def test_the_file_needs_nothing_else(made, page):
    text = made.read_text()
    policies = [found.get("content", "") for found in page.all("meta")]
    assert any(policy.startswith("default-src 'none';") for policy in policies)
    places = [found.get("src") or found.get("href", "") for _, found in page.elements]
    assert all(place.startswith(("data:", "#")) for place in filter(None, places))
    assert not re.search(r"url\(\s*[\"']?http|@import|\bimport\(|fetch\(", text)
    targets = {place[1:] for place in places if place.startswith("#")}
    assert targets <= {found.get("id") for _, found in page.elements}
    assert len(text) < 2e6


def test_two_runs_are_side_by_side(tmp_path):
    run = tiny.finished_run()
    copy = tiny.copy_of_finished_run(tmp_path)
    config = json.loads((copy / "config.json").read_text())
    write_json(copy / "config.json", config | {"seed": 7})
    (copy / "result.json").unlink()  # it still trains
    (copy / "environment.json").unlink()  # of an earlier version
    out = tmp_path / "both.html"
    # The second naming of a run is not a third run.
    write_report([run, copy, run], out, evaluation=False)
    page = Page(out.read_text())
    rows = page.table("metric")
    assert rows["metric"] == ["finished, as recorded", "copy, as recorded"]
    last = [line for line in tiny.learned(run) if "eval/mean_iou" in line][-1]
    best = tiny.result(run)["metrics"]["mean_iou"]
    assert rows["mean_iou"] == [f"{best:.4f}", f"{last['eval/mean_iou']:.4f}"]
    assert page.table("key")["seed"] == ["0", "0", "7"]
    assert page.table("recorded")["jax"][1] == ""
    (loss,) = page.data["curve-0"]
    assert [one["name"] for one in loss["series"]] == ["finished", "copy"]
    assert page.all("img") == []


REFUSED = {
    "no run": (["{tmp}"], "{tmp}/config.json: no such file; expected a work directory"),
    "not there": (["{tmp}/gone"], "{tmp}/gone: no such folder; expected the work dir"),
    "weights": (
        ["{tmp}/official.pth"],
        (
            "{tmp}/official.pth is a file; expected a work directory of a run, which "
            "scripts/convert.py makes of weights: convert.py official.pth DIR"
        ),
    ),
    "second is no run": (["{run}", "{tmp}"], "{tmp}/config.json: no such file"),
    "a folder for the page": (
        ["{run}", "--out={tmp}"],
        "{tmp} is a folder; expected the name of a page",
    ),
    "a picture": (
        ["{run}", "--out={tmp}/x.png"],
        "{tmp}/x.png: expected the name of a page, which ends in .html or .htm",
    ),
    "below a file": (
        ["{run}", "--out={tmp}/official.pth/x.html"],
        "{tmp}/official.pth is a file; expected a folder for x.html",
    ),
    "unknown key": (["{run}", "--set", "eval.size=3"], "cannot set 'eval.size=3'"),
    "unknown step": (["{run}", "--step=5"], "no checkpoint '5'; complete ones:"),
    "unknown split": (["{run}", "--split=dark"], "has no split 'dark'; it has train"),
    "a number of pictures": (["{run}", "--worst=few"], "expected 0 or more, got few"),
    "a split of nothing": (
        ["{run}", "--no_evaluation", "--split=val"],
        "--split goes with an evaluation",
    ),
    "a change of nothing": (
        ["{run}", "--no_evaluation", "--config.seed=1"],
        "--config.KEY=VALUE goes with an evaluation",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line(name, tmp_path, monkeypatch, capsys):
    arguments, expected = REFUSED[name]
    (tmp_path / "official.pth").write_bytes(b"weights")
    names = {"tmp": tmp_path, "run": tiny.finished_run()}
    monkeypatch.chdir(tmp_path)
    code, out, err = run_script(
        "report", monkeypatch, capsys, *(text.format(**names) for text in arguments)
    )
    assert (code, out) == (2, "")
    assert expected.format(**names) in err
    assert len(err.splitlines()) == 1 or "usage:" in err
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_landmarks_have_a_distribution_and_errors_of_points(landmark_run, tmp_path):
    out = tmp_path / "faces.html"
    write_report([landmark_run], out, worst=2)
    page = Page(out.read_text())
    metrics = tiny.result(landmark_run)["metrics"]
    assert page.table("metric")["nme"] == [f"{metrics['nme']:.4f}"]
    faces, points = page.table("face"), page.table("point")
    number = len(open_records("faces", _data_of(landmark_run), "val"))
    assert len(faces) - 1 == number
    values = [float(cells[0]) for cells in [*faces.values()][1:]]
    assert np.mean(values) == pytest.approx(metrics["nme"], abs=1e-3)
    # All points are annotated, so the mean of the points is that of the faces.
    means = [float(cells[1]) for cells in [*points.values()][1:]]
    assert np.mean(means) == pytest.approx(metrics["nme"], abs=1e-3)
    (chart,) = page.data["run-0-0-ced"]
    (curve,) = chart["series"]
    assert curve["x"][1:] == pytest.approx(sorted(values), abs=1e-4)
    assert (curve["y"][0], curve["y"][-1]) == (0, 100)
    assert len(page.all("img")) == 2


def _data_of(run):
    return json.loads((run / "config.json").read_text())["dataset"]["data_dir"]
