"""A preemption, played: the launcher takes the run up again on a new machine.

gcloud is `acting_gcloud.py`, whose machines are folders. What outlives them is another
folder, as of a disk that is mounted, or a bucket behind a server of this machine.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from hrnet_jax.launching.slices import find_slice
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.storage import paths
from tests import tiny, together
from tests.launching import acting_gcloud
from tests.storage.server import serving
from tests.storage.test_runs import assert_same

pytestmark = pytest.mark.slow

# What the tiny experiment imports.
PARTS = (
    *("hrnet_jax", "scripts", "pyproject.toml", ".gitignore"),
    *("tests/__init__.py", "tests/tiny.py", "tests/sharing.py"),
)

# The tiny experiment, with time for a signal between two of its steps: JAX looks for
# those of several processes once a second.
SLOWLY = f"""
import os
import time
import jax
from hrnet_jax.training import loop
from tests.tiny import get_config

compile_step = loop.Loop._compile

def slowly(self, state, batch):
    step = compile_step(self, state, batch)
    def later(*arguments):
        time.sleep(0.5 if jax.process_count() == 1 else 1.5)
        return step(*arguments)
    return later

loop.Loop._compile = slowly
# Programs that the other tests have compiled.
os.environ["HRNET_JAX_CACHE"] = {os.environ["HRNET_JAX_CACHE"]!r}
"""


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the parts of this checkout that run."""
    folder = tmp_path / "checkout"
    (folder / "tests").mkdir(parents=True)
    for name in PARTS:
        if (tiny.ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(tiny.ROOT / name, folder / name, ignore=unwanted)
        else:
            shutil.copy(tiny.ROOT / name, folder / name)
    (folder / "slowly.py").write_text(SLOWLY)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def launch(checkout, tmp_path, workdir, topology="v5e:2x2", *changes):
    """Types the launcher, as a user does."""
    state, programs = tmp_path / "cloud", tmp_path / "programs"
    state.mkdir()
    (state / "hosts").write_text(str(find_slice(topology).hosts))
    programs.mkdir()
    program = f'exec {sys.executable} {acting_gcloud.__file__} {state} "$@"'
    (programs / "gcloud").write_text(f"#!/bin/sh\n{program}\n")
    (programs / "gcloud").chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "scripts/tpu/vm.py", "--name=tiny", "--zone=z"),
            *(f"--topology={topology}", "--poll_seconds=0", "--delete_after", "--"),
            *("scripts/train.py", "--config=slowly.py", f"--workdir={workdir}"),
            f"--config.dataset.data_dir={tiny.data_dir()}",
            *changes,
        ],
        cwd=checkout,
        env=tiny.environment(
            PYTHONPATH=str(checkout),
            PATH=f"{programs}{os.pathsep}{os.environ['PATH']}",
        ),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return done, state


def assert_taken_up_again(done, state) -> None:
    """By another machine, from where the first one saved when it was taken away."""
    assert done.returncode == 0, done.stderr
    lines = (state / "calls.jsonl").read_text().splitlines()
    calls = [json.loads(line) for line in lines]
    runs = [call for call in calls if call[-1] == "--command=bash run.sh"]
    created = [call for call in calls if call[3] == "create"]
    assert (len(runs), len(created)) == (2, 2), done.stderr
    # Saved in mid-run, then taken up by another machine.
    assert "stopped by a signal after step " in done.stderr
    saved = int(done.stderr.split("stopped by a signal after step ")[1].split(",")[0])
    assert 4 <= saved < 8
    assert "the run was stopped and has saved everything; once more on a" in done.stderr
    assert f"resuming from step {saved}" in done.stderr
    # Nothing is left to be paid for, and nothing of the machines.
    assert calls[-1][3] == "delete" and not list(state.glob("machine_*"))


def test_a_preempted_run_ends_as_if_nothing_had_happened(checkout, tmp_path):
    bucket = tmp_path / "bucket"
    assert_taken_up_again(*launch(checkout, tmp_path, bucket / "run"))
    # The same run.
    undisturbed = tiny.finished_run()
    assert tiny.result(bucket / "run")["step"] == tiny.BEST_STEP
    for step in ("latest", "best"):
        tiny.assert_equal_bits(
            tiny.state(bucket / "run", step), tiny.state(undisturbed, step)
        )
    assert tiny.learned(bucket / "run") == tiny.learned(undisturbed)


def test_a_preempted_slice_of_two_hosts_goes_on_from_the_bucket(checkout, tmp_path):
    """Each host runs a process, and both find the other as JAX does in a cluster."""
    both = "--config.mesh.data=-1"
    data = f"--config.dataset.data_dir={tiny.data_dir()}"
    with serving():
        run = "gs://tests/runs/tiny"
        done, state = launch(checkout, tmp_path, run, "v4:2x2x2", both)
        assert_taken_up_again(done, state)
        # Both of the first slice's hosts, after the same step.
        told = re.findall(r"stopped by a signal after step (\d+)", done.stderr)
        assert len(told) == 2 and len({*told}) == 1
        local = tmp_path / "local"
        arguments = (f"--config={tiny.__file__}", data, both, f"--workdir={local}")
        outcome = together.launch(2, "none", "train", *arguments)
        assert outcome.returncode == 0, outcome.stderr
        assert_same(paths.as_path(run), local)
        assert json.loads((local / "environment.json").read_text())["processes"] == 2


def test_run_sh_lets_an_earlier_run_save_before_it_begins(tmp_path):
    from hrnet_jax.launching.job import Job
    from hrnet_jax.launching.slices import find_slice
    from hrnet_jax.launching.tpu_vm import run_script

    job = Job("w48", find_slice("v5e:2x2"), ("program.py", "--key=a b"))
    (tmp_path / "hrnet_jax/.venv/bin").mkdir(parents=True)
    (tmp_path / "hrnet_jax/.venv/bin/python").symlink_to(sys.executable)
    (tmp_path / "run.sh").write_text(run_script(job))
    (tmp_path / "hrnet_jax/program.py").write_text(
        "import pathlib, signal, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(0.5)\n"
        "    pathlib.Path('saved').touch()\n"
        "    sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "if pathlib.Path('began').exists():\n"
        "    sys.exit(pathlib.Path('saved').exists() and sys.argv[1] == '--key=a b')\n"
        "pathlib.Path('began').touch()\n"
        "time.sleep(60)\n"
    )
    # A shell around it takes note of its end at once, as that of ssh does.
    around = "bash run.sh; echo $? > code"
    first = subprocess.Popen(["bash", "-c", around], cwd=tmp_path)
    while not (tmp_path / "hrnet_jax/began").exists():
        assert first.poll() is None
        time.sleep(0.01)
    second = subprocess.run(["bash", "run.sh"], cwd=tmp_path, timeout=60, check=False)
    first.wait()
    assert (tmp_path / "code").read_text() == "75\n"
    assert second.returncode == 1
