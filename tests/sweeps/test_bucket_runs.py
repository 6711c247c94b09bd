"""Commands of sweeps in a bucket: several workers, and one that is killed."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from hrnet_jax.storage import paths
from hrnet_jax.sweeps.claims import trial_folder
from hrnet_jax.training.reporting import read_metrics
from tests import tiny
from tests.sweeps.spaces import RATES

SWEEP = "gs://tests/runs/sweep"
# A worker of another host, that renews its turns and is given up soon.
HOST = """
import runpy, socket, sys
from hrnet_jax.sweeps import worker
from hrnet_jax.workdir import lease
host, *sys.argv = sys.argv[1:]
socket.gethostname = lambda: host
lease.BEAT, lease.GONE, worker._PAUSE_IN_BUCKET = 0.5, 5.0, 0.5
runpy.run_path(sys.argv[0], run_name="__main__")
"""
STEPS = 12


def arguments(folder, trials, *more) -> list[str]:
    """Of a sweep in the bucket."""
    (folder / "space.py").write_text(RATES)
    return [
        f"--config={tiny.__file__}",
        f"--config.dataset.data_dir={tiny.data_dir()}",
        f"--config.num_steps={STEPS}",
        f"--sweepdir={SWEEP}",
        f"--space={folder / 'space.py'}",
        f"--trials={trials}",
        "--sampler=random",
        "--pruner=none",
        *more,
    ]


def start(folder, trials, *more, host="") -> subprocess.Popen:
    """A command of its own, on another host if that has a name."""
    script = str(tiny.ROOT / "scripts/sweep.py")
    before = ["-c", HOST, host] if host else []
    return subprocess.Popen(
        [sys.executable, *before, script, *arguments(folder, trials, *more)],
        env=tiny.environment(JAX_PLATFORMS="cpu"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_trained_once(trials: int) -> None:
    """Each trial has each step, and no trial more than there are."""
    folders = sorted(paths.as_path(f"{SWEEP}/trials").iterdir())
    assert [folder.name for folder in folders] == [f"{k:04d}" for k in range(trials)]
    for folder in folders:
        lines = [line for line in read_metrics(folder) if "train/loss" in line]
        assert [line["step"] for line in lines] == [*range(1, STEPS + 1)], folder


def in_training(folder, process) -> bool:
    """Whether a trial is past its first save; the command is to be at work."""
    assert process.poll() is None, process.communicate()
    saved = (folder / "checkpoints").glob("*/commit_success.txt")
    return any(saved) and not (folder / "result.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_workers_of_a_sweep_in_a_bucket(bucket, tmp_path):
    process = start(tmp_path, 3, "--workers=2")
    out, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert f"{SWEEP}: 3 trials finished (3 complete, 0 pruned, 0 failed); best" in out
    assert_trained_once(3)
    begun = re.findall(r"trial (\d+): schedule.learning_rate=", said)
    assert sorted(begun) == ["0000", "0001", "0002"]
    assert "left by another worker" not in said and "began a training" not in said
    # Nobody holds anything any more.
    held = paths.as_path(SWEEP).glob("trials/*/training.lock")
    assert not [*held]

    answers = tiny.run_scripts(
        {
            "collect": ["collect", SWEEP],
            "again": ["sweep", *arguments(tmp_path, 3, "--config.batch_size=4")],
        },
        tmp_path,
        "tests.tiny",
        "matplotlib",
    )
    code, out, err = answers["collect"]
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) == 6 and lines[-1] == f"{SWEEP}/collected"
    assert sorted(re.findall(r"\| (\d{4}) ", out)) == ["0000", "0001", "0002"]
    names = {path.name for path in paths.as_path(f"{SWEEP}/collected").iterdir()}
    assert {"table.md", "table.html", "curves.png", "parallel.png"} <= names
    code, out, err = answers["again"]
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert "of another experiment (batch_size: 8 there, 4 here)" in err


@pytest.mark.slow
def test_a_trial_of_a_host_that_is_gone_is_finished_by_the_next(bucket, tmp_path):
    gone = start(tmp_path, 2, host="gone")
    folder = trial_folder(paths.as_path(SWEEP), 0)
    while not in_training(folder, gone):
        time.sleep(0.02)
    gone.send_signal(signal.SIGKILL)
    gone.communicate()
    process = start(tmp_path, 2, host="next")
    out, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert "2 trials finished (2 complete, 0 pruned, 0 failed)" in out
    assert "trial 0000: left by another worker, goes on here" in said
    assert "resuming from step" in said
    assert_trained_once(2)
