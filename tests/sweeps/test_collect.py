"""Tables of runs: what differs, what came out, the best first."""

import csv
import json

import pytest

from hrnet_jax.config.command_line import INPUT_ERROR
from hrnet_jax.errors import CheckpointError
from hrnet_jax.sweeps import tables
from hrnet_jax.sweeps.claims import claim, write_trial
from hrnet_jax.sweeps.collecting import collect, differing_keys
from hrnet_jax.sweeps.plots import draw_all
from hrnet_jax.workdir.lock import locked
from tests import tiny
from tests.sweeps.spaces import make_run


def make_sweep_folder(folder):
    """Seven trials; the best is neither first nor last, and its best step not its last."""
    trials = folder / "trials"
    for number, (values, state, rate) in enumerate(
        [
            ([0.2, 0.5], "complete", 0.1),
            ([0.9, 0.7], "complete", 0.01),
            ([0.1], "pruned", 1.0),
            ([float("nan"), 0.6], "complete", 0.03),
            ([0.3, 0.4], "complete", 0.001),
        ]
    ):
        run = make_run(
            trials / f"{number:04d}",
            values,
            done=state == "complete",
            schedule={"learning_rate": rate},
            logging={"every_steps": 10 + number},
        )
        write_trial(run, trial_of(state, rate))
    failed = trials / "0005"
    failed.mkdir()
    write_trial(failed, trial_of("failed", 9.0) | {"message": "no model 'a|b'"})
    make_run(trials / "0006", [], done=False, schedule={"learning_rate": 0.2})
    return folder


def trial_of(state, rate):
    found = {"state": state, "metric": "mean_iou", "direction": "max"}
    return found | {"values": {"schedule.learning_rate": rate}}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return make_sweep_folder(tmp_path_factory.mktemp("collected") / "sweep")


def test_the_best_is_first_and_failures_are_last(sweep):
    runs = collect([sweep])
    assert [run.workdir.name for run in runs] == [
        *("0001", "0003", "0000", "0004", "0002", "0006", "0005")
    ]
    assert (runs[0].value, runs[0].step) == (0.9, 10)
    assert [run.state for run in runs] == ["complete"] * 4 + [
        *("pruned", "stopped", "failed")
    ]
    assert runs[-1].config == {"schedule.learning_rate": 9.0}
    # Also places and reporting differ, which nobody wants to read.
    assert differing_keys(runs) == ["schedule.learning_rate"]
    assert runs[0].seconds == pytest.approx(10.0)


def test_the_least_is_first_where_less_is_better(tmp_path):
    for number, values in enumerate([[5.0, 4.0], [9.0, 3.0, 3.5], [7.0]]):
        make_run(tmp_path / f"runs/{number}", values, task="landmarks", seed=number)
    runs = collect([tmp_path / "runs"])
    assert [run.workdir.name for run in runs] == ["1", "0", "2"]
    assert (runs[0].value, runs[0].step, runs[0].direction) == (3.0, 20, "min")
    assert tables.table_of(runs)[0] == ["run", "nme", "step", "time", "state", "seed"]


def test_runs_of_several_metrics_are_told_apart(tmp_path):
    make_run(tmp_path / "a/run", [0.5])
    make_run(tmp_path / "b/run", [3.0], task="landmarks")
    header, rows = tables.table_of(collect([tmp_path / "a/run", tmp_path / "b"]))
    assert header[:3] == ["run", "value", "metric"]
    assert [(row[0], row[2]) for row in rows] == [
        (f"{tmp_path}/a/run", "mean_iou"),
        (f"{tmp_path}/b/run", "nme"),
    ]


def test_runs_that_still_train_are_shown_so(tmp_path):
    one = make_run(tmp_path / "runs/one", [0.1], done=False)
    two = make_run(tmp_path / "runs/two", [0.2], done=False)
    make_run(tmp_path / "runs/three", [0.3])
    (held,) = (claim(two),)
    with locked(one), held:
        found = {run.workdir.name: run.state for run in collect([tmp_path / "runs"])}
    assert found == {"one": "training", "two": "training", "three": "complete"}
    found = {run.workdir.name: run.state for run in collect([tmp_path / "runs"])}
    assert found == {"one": "stopped", "two": "stopped", "three": "complete"}


def test_the_table_is_the_same_in_every_form(sweep):
    header, rows = tables.table_of(collect([sweep]))
    text = tables.as_markdown(header, rows).splitlines()
    best = [cell.strip() for cell in text[2].strip("|").split("|")]
    assert best == ["0001", "0.9000", "10", "0:00:10", "complete", "0.01", "-"]
    assert text[-1].split("|")[1].strip() == "0005"
    assert r"no model 'a\|b'" in text[-1]
    found = list(csv.DictReader(tables.as_csv(header, rows).splitlines()))
    assert found[0]["mean_iou"] == "0.9000" and found[0]["message"] == ""
    assert found[-1]["message"] == "no model 'a|b'"
    page = tables.as_html("<sweep>", header, rows, ["few & far"])
    assert "<h1>&lt;sweep&gt;</h1>" in page and "<p>few &amp; far</p>" in page
    assert page.count("<tr>") == 8


def test_a_folder_without_a_run_is_one_line(tmp_path, sweep):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        CheckpointError, match=r"empty: no run there; expected the folder"
    ):
        collect([tmp_path / "empty"])
    with pytest.raises(
        CheckpointError, match="no such folder; expected a sweep or a run"
    ):
        collect([sweep.parent / "swep"])
    with pytest.raises(CheckpointError, match=r"did you mean '.*/sweep'"):
        collect([sweep.parent / "swee"])
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="file: is a file; expected a sweep"):
        collect([tmp_path / "file"])


def test_pictures_that_are_missing_are_told(tmp_path):
    make_run(tmp_path / "runs/a", [0.5], seed=1)
    make_run(tmp_path / "runs/b", [], seed=2)
    pictures, remarks = draw_all(collect([tmp_path / "runs"]), tmp_path)
    assert [path.name for path in pictures] == ["curves.png"]
    assert remarks == [
        "no importances: 1 finished run with a value, 4 are needed at least",
        "no parallel coordinates: 1 finished run with a value, 2 are needed at least",
    ]
    make_run(tmp_path / "same/a", [])
    _, remarks = draw_all(collect([tmp_path / "same"]), tmp_path)
    assert remarks[0] == "no curves: no run has logged a step yet"
    assert not (tmp_path / "curves.png").exists()
    for name in "cdef":
        make_run(tmp_path / f"alike/{name}", [0.5])
    _, remarks = draw_all(collect([tmp_path / "alike"]), tmp_path)
    assert remarks[0] == "no importances: the 4 finished runs differ in no key"


@pytest.fixture(scope="module")
def answers(sweep):
    return tiny.run_scripts(
        {
            "sweep": ["collect", str(sweep)],
            "nothing": ["collect", str(sweep / "trials" / "0005" / "no")],
        },
        sweep.parent,
        "matplotlib",
        "optuna",
        "hrnet_jax.sweeps.plots",
    )


@pytest.mark.slow
def test_the_command_prints_and_writes(answers, sweep):
    code, out, err = answers["sweep"]
    assert code == 0, err
    lines = out.splitlines()
    assert lines[2].startswith("| 0001 |") and lines[-1] == f"{sweep}/collected"
    written = {path.name for path in (sweep / "collected").iterdir()}
    pictures = {"curves.png", "importances.png", "parallel.png"}
    assert written == {"table.md", "table.csv", "table.html"} | pictures
    assert (sweep / "collected/table.md").read_text().splitlines() == lines[:-1]
    page = (sweep / "collected/table.html").read_text()
    assert page.count("data:image/png;base64,") == 3


@pytest.mark.slow
def test_a_wrong_folder_is_one_line(answers):
    code, out, err = answers["nothing"]
    assert (code, out) == (INPUT_ERROR, "") and err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_importances_find_what_matters(tmp_path):
    from hrnet_jax.sweeps.plots import _comparable, _study_of

    for number in range(16):
        rate, seed = 10.0 ** -(number % 4), number // 4
        run = make_run(
            tmp_path / f"runs/{number:02d}",
            [0.9 - 0.2 * (number % 4)],
            seed=seed,
            schedule={"learning_rate": rate},
        )
        assert json.loads((run / "config.json").read_text())["seed"] == seed
    runs, keys = _comparable(collect([tmp_path / "runs"]))
    study = _study_of(runs, keys)
    assert keys == ["schedule.learning_rate", "seed"]
    distributions = study.trials[0].distributions
    assert distributions["schedule.learning_rate"].log and not distributions["seed"].log
    assert study.best_trial.params["schedule.learning_rate"] == 1.0
