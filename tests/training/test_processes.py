"""Several processes train, evaluate and resume as one would."""

import json
import os

import numpy as np
import pytest

from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import get_spec
from hrnet_jax.training import loop
from hrnet_jax.training.evaluate import evaluators_of_run
from hrnet_jax.training.train import train
from hrnet_jax.workdir.checkpoints import Checkpoints
from tests import tiny, together
from tests.doubles import double_precision
from tests.tiers import with_detectors
from tests.tiny_runs import RUNS

CHANGES = {
    "num_steps": 12,
    "eval.every_steps": 6,
    # Six images: the second batch is filled up.
    "eval.batch_size": 4,
    "checkpoint.every_steps": 1,
}
FLAGS = [f"--config.{key}={value}" for key, value in CHANGES.items()]


def config():
    return tiny.config(**{key.replace(".", "__"): v for key, v in CHANGES.items()})


def train_together(processes, accident, workdir, *arguments, doubles=False):
    return together.launch(
        processes,
        accident,
        "train",
        f"--config={tiny.__file__}",
        f"--config.dataset.data_dir={tiny.data_dir()}",
        "--config.mesh.data=-1",
        f"--workdir={workdir}",
        *FLAGS,
        *arguments,
        doubles=doubles,
    )


@pytest.fixture(autouse=True, scope="module")
def tiny_variant():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Work directory of the run in one process, on one device."""
    workdir = tmp_path_factory.mktemp("alone")
    with double_precision():
        train(config(), workdir)
    return workdir


class PulledPlug(Exception):
    """What breaks a run off."""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """A run begun by one process, gone on with by two, four, and one.

    Returns:
        The work directory, and of both sessions with several processes the outcome,
        the newest checkpoint after it and the state each process started from.
    """
    workdir = tmp_path_factory.mktemp("sessions")

    def pull_plug(self, step, *rest):
        if step == 3:
            raise PulledPlug
        after(self, step, *rest)

    after = loop.Loop._log_evaluate_save
    with (
        pytest.MonkeyPatch.context() as patch,
        double_precision(),
        pytest.raises(PulledPlug),
    ):
        patch.setattr(loop.Loop, "_log_evaluate_save", pull_plug)
        train(config(), workdir)
    found = {}
    for count, accident in ((2, "terminated"), (4, "killed")):
        before = tiny.state(workdir)
        outcome = train_together(count, accident, workdir, doubles=True)
        states = [together.restored(workdir, index) for index in range(count)]
        found[count] = outcome, latest(workdir), before, states
    with double_precision():
        train(config(), workdir)
    return workdir, found


def latest(workdir):
    checkpoints = Checkpoints(workdir)
    step = checkpoints.latest()
    checkpoints.close()
    return step


def assert_same_run(workdir, expected):
    """The same lines, metrics, parameters and statistics, to double rounding."""
    lines = tiny.learned(workdir), tiny.learned(expected)
    for got, wanted in zip(*lines, strict=True):
        assert got == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    for key in ("metrics", "step", "split", "num_steps"):
        wanted = tiny.result(expected)[key]
        if key == "metrics":
            wanted = pytest.approx(wanted, abs=1e-9)
        assert tiny.result(workdir)[key] == wanted
    got, wanted = tiny.state(workdir), tiny.state(expected)
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.slow
def test_the_sessions_ended_as_they_should(sessions):
    _, found = sessions
    stopped, newest, *_ = found[2]
    assert stopped.returncode == 75, stopped.stderr
    assert f"after step {newest}, everything is saved" in stopped.stderr
    assert stopped.stderr.count("run the same command again") == 1
    # From step 2; one step, then the two or three that agreeing takes.
    assert 3 < newest < 10
    killed, after_kill, *_ = found[4]
    assert killed.returncode == 128 + 9
    assert "process 1 was ended by signal 9" in killed.stderr
    # The first of its two steps was whole by then or is absent, the second is absent.
    assert after_kill in (newest, newest + 1)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_every_process_restores_what_another_number_saved_bit_by_bit(count, sessions):
    _, found = sessions
    _, _, before, states = found[count]
    # In the file states are sorted by name, in memory as their class says.
    wanted = sorted(array.tobytes() for array in before.values())
    assert len(states) == count
    for state in states:
        assert sorted(array.tobytes() for array in state) == wanted


@pytest.mark.slow
def test_sessions_of_one_two_four_and_one_end_like_one(sessions, alone):
    assert_same_run(sessions[0], alone)


@pytest.mark.slow
def test_a_damaged_record_of_one_process_ends_all(tmp_path):
    outcome = train_together(2, "damaged", tmp_path)
    assert outcome.returncode == 2
    errors = [line for line in outcome.stderr.splitlines() if "error" in line]
    (error,) = errors
    assert error.startswith("error: process 1: cannot decode record")
    assert "Traceback" not in outcome.stderr


NAMES = [
    "landmarks",
    "classification",
    "mask_rcnn",
    with_detectors("both_orientations"),
]


@pytest.fixture(scope="module", params=NAMES)
def learned(request, tmp_path_factory):
    """A run by one process and by two, which each have half of every batch.

    Returns:
        Both work directories, the run and the outcome of the two.
    """
    run, folder = RUNS[request.param], tmp_path_factory.mktemp(request.param)
    with double_precision():
        train(run.config(mesh__data=1), folder / "alone")
    outcome = together.launch(
        2,
        "none",
        "train",
        *run.flags(mesh__data=-1),
        f"--workdir={folder / 'pair'}",
        doubles=True,
    )
    assert outcome.returncode == 0, outcome.stderr
    return folder / "alone", folder / "pair", run, outcome


@pytest.mark.slow
def test_two_processes_learn_like_one(learned):
    alone, pair, *_ = learned
    assert_same_run(pair, alone)
    wanted, got = tiny.result(alone), tiny.result(pair)
    assert (got["processes"], got["device"]) == (2, "2 x cpu")
    assert (wanted["processes"], wanted["device"]) == (1, "1 x cpu")


@pytest.mark.slow
def test_the_first_process_alone_prints_and_writes(learned):
    alone, pair, _, outcome = learned
    metrics = tiny.result(pair)["metrics"]
    printed = dict(line.split() for line in outcome.stdout.splitlines())
    assert len(outcome.stdout.splitlines()) == len(metrics)
    assert {name: float(value) for name, value in printed.items()} == pytest.approx(
        metrics, abs=5e-5
    )
    assert outcome.stderr.count("best step") == 1
    files = [
        sorted(str(path.relative_to(run)) for path in run.glob("[!c]*/**/*"))
        for run in (alone, pair)
    ]
    assert files[0] == files[1] and files[0]
    assert sorted(os.listdir(pair)) == sorted(os.listdir(alone))


@pytest.mark.slow
def test_two_processes_evaluate_like_one(learned, tmp_path):
    workdir, _, run, _ = learned
    options = run.config(mesh__data=1)
    has_errors = "errors" in get_spec(options.task).reports
    expected = evaluators_of_run(options, workdir, splits=["val", "train"])
    outcome = together.launch(
        2,
        "none",
        "evaluate",
        f"--workdir={workdir}",
        "--split=val,train",
        f"--out={tmp_path}/metrics.json",
        *([f"--errors={tmp_path}/errors.json"] if has_errors else ()),
        "--set=mesh.data=-1",
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "error" not in outcome.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for split, evaluator in expected.items():
        assert metrics[split] == pytest.approx(evaluator.compute(), rel=1e-6)
    names = {name for values in metrics.values() for name in values}
    assert len(outcome.stdout.splitlines()) == 1 + len(names)
    if has_errors:
        errors = json.loads((tmp_path / "errors.json").read_text())["errors"]
        for split, evaluator in expected.items():
            assert errors[split] == pytest.approx(evaluator.errors(), rel=1e-6)
        # Five faces fill one batch of four and a part of another.
        assert len(errors["val"]) == 5


# `runtime/test_failures.py` does the same with two smaller programs.
@pytest.mark.slow
def test_wrong_input_is_one_line(tmp_path):
    outcome = train_together(2, "none", tmp_path, "--config.batch_size=7")
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr == (
        "error: config key 'batch_size' is 7, which is not a multiple of 2 (devices "
        "along mesh.data)\n"
    )
