"""The command: one line for wrong input, and sweeps that are killed and go on."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from hrnet_jax.config import command_line
from hrnet_jax.experiment.loading import load_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.interruption import EXIT_CODE
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import train
from tests import tiny
from tests.sweeps.spaces import RATES

# Enough that a trial still trains some seconds after its first save, on a busy machine.
STEPS = 60
TRIALS = 6


def test_a_missing_extra_is_one_line(capsys, monkeypatch):
    for name in ("space", "study", "worker"):
        monkeypatch.delitem(sys.modules, f"hrnet_jax.sweeps.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit) as stopped, command_line.reporting_errors():
        import hrnet_jax.sweeps.study  # noqa: F401
    assert stopped.value.code == command_line.INPUT_ERROR
    assert capsys.readouterr().err == (
        "error: this needs the package optuna, which is not installed: "
        "pip install -e '.[sweeps]' in the folder of hrnet_jax\n"
    )


def arguments(sweepdir, *more) -> list[str]:
    return [
        f"--config={tiny.__file__}",
        f"--config.dataset.data_dir={tiny.data_dir()}",
        f"--sweepdir={sweepdir}",
        *more,
    ]


REFUSED = {
    "no experiment": (["--sweepdir={tmp}/new"], "--config is missing; name an experi"),
    "no folder": (
        ["--config={tiny}", "--space={tmp}/space.py"],
        "--sweepdir is missing",
    ),
    "no bucket": (
        ["--config={tiny}", "--sweepdir=gs:/bucket/sweep", "--space={tmp}/space.py"],
        "gs:/bucket/sweep: expected gs://bucket/sweep",
    ),
    "no trial": (
        ["--config={tiny}", "--sweepdir={tmp}/new", "--space={tmp}/space.py"]
        + ["--trials=0"],
        "--trials is 0, expected at least 1",
    ),
    "no space": (
        ["--config={tiny}", "--sweepdir={tmp}/new"],
        "tiny.py has neither get_sweep(trial) nor SWEEP; expected one of them, there or",
    ),
    "no number": (
        ["--config={tiny}", "--sweepdir={tmp}/new", "--space={tmp}/space.py"],
        "--trials is missing; only a list and a grid tell how many there are",
    ),
    "a key that is swept": (
        ["--config={tiny}", "--sweepdir={tmp}/new", "--space={tmp}/space.py"]
        + ["--config.schedule.learning_rate=1", "--trials=1"],
        "--config.schedule.learning_rate would change nothing: {tmp}/space.py sets",
    ),
    "a key that nobody reads": (
        ["--config={tiny}", "--sweepdir={tmp}/new", "--space={tmp}/wrong.py"],
        "{tmp}/wrong.py: config key 'sede' is not read by anything; did you mean 'seed'?",
    ),
    "too many workers": (
        ["--config={tiny}", "--sweepdir={tmp}/new", "--workers=5000"],
        "--workers=5000, but this process may use",
    ),
    "another sampler": (
        ["--config={tiny}", "--sampler=best"],
        "flag --sampler=best: value should be one of <grid|random|tpe>",
    ),
}


@pytest.mark.slow
def test_wrong_input_is_one_line_and_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    (tmp_path / "space.py").write_text(RATES)
    (tmp_path / "wrong.py").write_text("SWEEP = [{'sede': 1}]")
    places = {"tmp": tmp_path, "tiny": tiny.__file__}
    commands = {
        name: ["sweep", *(text.format(**places) for text in line)]
        for name, (line, _) in REFUSED.items()
    }
    answers = tiny.run_scripts(commands, tmp_path, "tests.tiny", "optuna")
    for name, (code, out, err) in answers.items():
        assert (code, out) == (command_line.INPUT_ERROR, ""), (name, err)
        message = REFUSED[name][1].format(**places)
        assert err.startswith("error: ") and message in err, (name, err)
        assert len(err.splitlines()) == 1, name
    assert not (tmp_path / "new").exists()


def start(sweepdir, space) -> subprocess.Popen:
    command = [sys.executable, str(tiny.ROOT / "scripts/sweep.py")]
    command += arguments(sweepdir, f"--space={space}", f"--trials={TRIALS}")
    command += ["--workers=2", "--sampler=random", "--pruner=none"]
    command += [f"--config.num_steps={STEPS}", "--config.eval.every_steps=12"]
    return subprocess.Popen(
        command,
        env=tiny.environment(JAX_PLATFORMS="cpu"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def in_training(sweepdir) -> dict[str, int]:
    """Names of trials that are past their first save -> the process that trains them."""
    found = {}
    for lock in sweepdir.glob("trials/*/training.lock"):
        saved = [
            path for path in lock.parent.glob("checkpoints/*") if path.name.isdigit()
        ]
        holder = lock.read_text()
        if saved and holder.strip().startswith("{") and '"process"' in holder:
            found[lock.parent.name] = json.loads(holder)["process"]
    return found


def wait_for(condition, process):
    deadline = time.monotonic() + 600
    while not (found := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_sweep_that_is_killed_goes_on(tmp_path, monkeypatch):
    space, sweepdir = tmp_path / "space.py", tmp_path / "sweep"
    space.write_text(RATES)
    process = start(sweepdir, space)
    killed, worker = next(
        iter(wait_for(lambda: in_training(sweepdir), process).items())
    )
    os.kill(worker, signal.SIGKILL)
    assert not (sweepdir / "trials" / killed / "result.json").exists()
    # The other one goes on until it is asked to stop in the middle of a later trial.
    wait_for(lambda: in_training(sweepdir).keys() - {killed}, process)
    process.send_signal(signal.SIGTERM)
    _, first = process.communicate(timeout=600)
    assert process.returncode == EXIT_CODE, first
    assert "was ended by signal 9, and its trial goes on in another" in first
    before = {path.parent.name for path in sweepdir.glob("trials/*/result.json")}
    assert len(before) < TRIALS

    again = start(sweepdir, space)
    out, said = again.communicate(timeout=1200)
    assert again.returncode == 0, said
    assert f"{TRIALS} trials finished ({TRIALS} complete, 0 pruned, 0 failed)" in out
    assert not [name for name in before if f"trial {name}: " in said]
    trials = sorted((sweepdir / "trials").iterdir())
    assert len(trials) == TRIALS
    for trial in trials:
        lines = read_metrics(trial)
        steps = [line["step"] for line in lines if "train/loss" in line]
        assert steps == [*range(1, STEPS + 1)], trial

    # Nobody trained a trial that another one had or finished: those that were begun
    # more often than there are trials had been left, and went on where they were.
    said = first + said
    begun = re.findall(r"trial \d+: schedule.learning_rate=", said)
    left = re.findall(r"trial (\d+): left by another worker", said)
    assert len(begun) == TRIALS + len(left) and killed in left
    assert 1 <= said.count("resuming from step") <= len(left)

    third = start(sweepdir, space)
    out, said = third.communicate(timeout=600)
    assert (third.returncode, said) == (0, "") and "nothing is left to train" in out

    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    trial = sweepdir / "trials" / killed
    train(load_config(trial / "config.json"), tmp_path / "alone")
    tiny.assert_equal_bits(tiny.state(tmp_path / "alone"), tiny.state(trial))
    assert tiny.result(trial)["metrics"] == tiny.result(tmp_path / "alone")["metrics"]
