"""A run that was stopped in any way ends as if it had not been."""

import itertools
import json
import os
import random
import signal
import subprocess
import time

import pytest

from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training import loop
from hrnet_jax.training import train as train_module
from hrnet_jax.training.interruption import EXIT_CODE, EndedEarly, Interrupted
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import train
from hrnet_jax.workdir.checkpoints import Checkpoints
from tests import tiny
from tests.tiers import fast_are, with_detectors
from tests.tiny_runs import RUNS, best_metric


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


class PulledPlug(Exception):
    """What breaks a run off."""


def before_call(monkeypatch, number, action):
    """Has `action` run before the given call of a compiled train step."""
    compile_step = loop.Loop._compile
    calls = itertools.count(1)

    def patched(self, state, batch):
        step_fn = compile_step(self, state, batch)

        def step(*arguments):
            if next(calls) == number:
                action()
            return step_fn(*arguments)

        return step

    monkeypatch.setattr(loop.Loop, "_compile", patched)


def pull_plug():
    raise PulledPlug


def reported(workdir):
    """Which scalars were reported, and when."""
    return [(line["step"], sorted(line)) for line in read_metrics(workdir)]


def assert_like_an_undisturbed_run(workdir, name="segmentation"):
    undisturbed = RUNS[name].undisturbed()
    tiny.assert_equal_bits(tiny.state(undisturbed), tiny.state(workdir))
    assert reported(workdir) == reported(undisturbed)
    for key in ("metrics", "step", "split", "num_steps"):
        assert tiny.result(workdir)[key] == tiny.result(undisturbed)[key]


def test_the_state_holds_all_that_is_compared():
    names = {name.split("'")[1] for name in tiny.state(tiny.finished_run())}
    assert names == {"step", "params", "batch_stats", "opt_state", "ema"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segmentation", with_detectors("mask_rcnn")])
def test_a_run_that_its_caller_ended_goes_on(name, tmp_path):
    run, metric, asked = RUNS[name], best_metric(name), []

    def goes_on(step, metrics):
        asked.append((step, metrics[metric]))
        return False

    first, _ = run.ends
    with pytest.raises(
        EndedEarly, match=f"after the evaluation of step {first}, which is sav"
    ):
        train(run.config(), tmp_path, goes_on=goes_on)
    assert reported(tmp_path)[-1][0] == first
    # After the last step the answer does not count.
    train(run.config(), tmp_path, goes_on=goes_on)
    assert asked == [
        (line["step"], line[f"eval/{metric}"])
        for line in read_metrics(tmp_path)
        if f"eval/{metric}" in line
    ]
    assert_like_an_undisturbed_run(tmp_path, name)


BROKEN_OFF = [("segmentation", 2), ("segmentation", 6)]
BROKEN_OFF += [(name, 3) for name in ("landmarks", "pose", "classification")]
BROKEN_OFF += [("mask_rcnn", 3)]
BROKEN_OFF += [with_detectors(name, 3) for name in ("both_orientations", "fcos")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "step"), BROKEN_OFF)
def test_a_run_broken_off_ends_like_an_undisturbed_one(
    name, step, tmp_path, monkeypatch
):
    run = RUNS[name]
    with monkeypatch.context() as patch, pytest.raises(PulledPlug):
        before_call(patch, step, pull_plug)
        train(run.config(), tmp_path)
    # Lines after the last checkpoint, of step 4 where 6 is not reached, go.
    assert reported(tmp_path)[-1][0] == step - 1
    train(run.config(), tmp_path)
    assert_like_an_undisturbed_run(tmp_path, name)


SIGNALS = [
    ("segmentation", number, step)
    for number in (signal.SIGINT, signal.SIGTERM)
    for step in (3, 4)
]
SIGNALS += [with_detectors(("both_orientations", signal.SIGTERM, 3))]


@pytest.mark.parametrize("case", fast_are(SIGNALS[:1], SIGNALS), ids=str)
def test_a_signal_saves_and_the_same_call_goes_on(case, tmp_path, monkeypatch):
    name, number, step = case
    run = RUNS[name]
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with monkeypatch.context() as patch:
        before_call(patch, step, lambda: signal.raise_signal(number))
        with pytest.raises(Interrupted, match=f"after step {step}, everything is"):
            train(run.config(), tmp_path)
    assert Checkpoints(tmp_path).latest() == step
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    train(run.config(), tmp_path)
    # Step 4 is evaluated even though the signal came there.
    assert_like_an_undisturbed_run(tmp_path, name)


# A script on one core, which a process that never rests shares with it.
_ON_A_BUSY_CORE = """
import os, runpy, subprocess, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
company = subprocess.Popen([sys.executable, "-c", "while True: pass"])
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    company.kill()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no choice of cores")
def test_one_busy_core_reaches_the_same_bits(tmp_path):
    # Compiled anew, by fewer threads and for fewer.
    outcome = tiny.run_python(
        _ON_A_BUSY_CORE,
        *tiny.train_command(tmp_path / "run")[1:],
        HRNET_JAX_CACHE=str(tmp_path / "cache"),
    )
    assert outcome.returncode == 0, outcome.stderr
    assert_like_an_undisturbed_run(tmp_path / "run")


def test_a_finished_run_returns_its_result_at_once(tmp_path, monkeypatch):
    workdir = tiny.copy_of_finished_run(tmp_path)
    monkeypatch.delattr(train_module, "build_run")
    assert train(tiny.config(), workdir) == tiny.result(workdir)["metrics"]


def start(workdir, *arguments, name="segmentation"):
    return subprocess.Popen(
        RUNS[name].command(workdir, *arguments),
        env=tiny.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_lines(process, workdir, count):
    """Waits until a run has reported `count` lines."""
    path = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finish(workdir, *arguments, name="segmentation"):
    process = start(workdir, *arguments, name=name)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def kill(workdir, *arguments, after, name="segmentation"):
    """Starts the run and kills it `after` seconds past its first line."""
    process = start(workdir, *arguments, name=name)
    wait_for_lines(process, workdir, 1)
    time.sleep(after)
    process.kill()
    process.communicate()
    return process.returncode


# Slow, since a signal to a script and a broken run are among the fast ones.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["segmentation", with_detectors("both_orientations")])
def test_a_killed_run_ends_like_an_undisturbed_one(name, tmp_path):
    code = kill(tmp_path, after=random.uniform(0, 0.3), name=name)
    assert code == -signal.SIGKILL
    finish(tmp_path, name=name)
    assert_like_an_undisturbed_run(tmp_path, name)


@pytest.mark.slow
def test_a_run_killed_five_times_ends_like_an_undisturbed_one(tmp_path):
    often = "--config.checkpoint.every_steps=1"
    for _ in range(5):
        kill(tmp_path, often, after=random.uniform(0, 0.5))
    finish(tmp_path, often)
    assert_like_an_undisturbed_run(tmp_path)


def end_by(number, tmp_path):
    """Starts the run, ends it by a signal, and checks what it says and saved."""
    process = start(tmp_path)
    wait_for_lines(process, tmp_path, 1)
    process.send_signal(number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == EXIT_CODE == 75, output
    assert "run the same command again" in output.splitlines()[-1]
    assert "Traceback" not in output
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert Checkpoints(tmp_path).latest() == last["step"]


# What it does to the run is tested above; the walks type Ctrl-C.
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_script_with_its_own_exit_code(number, tmp_path):
    end_by(number, tmp_path)


# Resuming is tested above within one process, and below after a kill.
@pytest.mark.slow
def test_after_sigterm_the_same_command_ends_like_an_undisturbed_one(tmp_path):
    end_by(signal.SIGTERM, tmp_path)
    assert "mean_iou" in finish(tmp_path)
    assert_like_an_undisturbed_run(tmp_path)
