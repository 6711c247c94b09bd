"""Whole runs in a bucket: killed, resumed, opened, and with storage that goes away."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from PIL import Image

import hrnet_jax
from hrnet_jax.conversion.importing import (
    ImportOptions,
    export_weights,
    import_weights,
)
from hrnet_jax.data import copies
from hrnet_jax.data.records import prepared_directory
from hrnet_jax.errors import CheckpointError, StorageError, WeightsError
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.storage import paths
from hrnet_jax.training import loop
from hrnet_jax.training.train import train
from hrnet_jax.workdir.opening import open_checkpoints
from tests import tiny, together
from tests.storage.server import PATIENCE, Bucket

RUN = "gs://tests/runs/tiny"
# Requests that write, in the whole tiny run, at least.
_WRITES = 120


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def writes(bucket: Bucket) -> int:
    return sum(method != "GET" for method, _ in bucket.requests)


def run_killed(command: list[str], bucket: Bucket, count: int) -> bool:
    """Runs a command, kills it with its children after so many requests that write.

    Returns:
        Whether it was killed, rather than finished.
    """
    until = writes(bucket) + count
    process = subprocess.Popen(
        command,
        env=tiny.environment(TMPDIR=str(tiny.session_dir())),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while process.poll() is None and writes(bucket) < until:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    killed = process.poll() is None
    if killed:
        os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate()
    assert killed or process.returncode == 0, output
    return killed


def finish_after_kills(command: list[str], bucket: Bucket, seed: int) -> None:
    """Kills a run three times, then lets it end."""
    moments = random.Random(seed)
    for _ in range(3):
        assert run_killed(command, bucket, moments.randrange(1, _WRITES // 3))
    assert not run_killed(command, bucket, 10**9)


def assert_same(workdir, expected) -> None:
    """The same checkpoints, bit for bit, the same lines and the same result."""
    steps = []
    for each in (workdir, expected):
        checkpoints = open_checkpoints(each)
        steps.append(checkpoints.steps())
        checkpoints.close()
    assert steps[0] == steps[1]
    for step in steps[0]:
        tiny.assert_equal_bits(tiny.state(workdir, step), tiny.state(expected, step))
    assert tiny.learned(workdir) == tiny.learned(expected)
    for key in ("metrics", "step", "split", "num_steps", "seed"):
        assert tiny.result(workdir)[key] == tiny.result(expected)[key]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_run_killed_three_times_equals_the_local_one(bucket, seed):
    finish_after_kills(tiny.train_command(RUN), bucket, seed)
    assert_same(paths.as_path(RUN), tiny.finished_run())
    assert not (paths.as_path(RUN) / "training.lock").exists()


@pytest.mark.slow
def test_two_processes_killed_three_times_equal_the_local_ones(bucket, tmp_path):
    script, *arguments = tiny.train_command(RUN)[1:]
    arguments = [each for each in arguments if not each.startswith("--workdir")]
    arguments += ["--config.mesh.data=-1"]
    outcome = together.launch(
        2, "none", "train", *arguments, f"--workdir={tmp_path / 'local'}"
    )
    assert outcome.returncode == 0, outcome.stderr
    command = [sys.executable, together.LAUNCHER, "--processes=2", "--"]
    command += [together.__file__, "none", script, *arguments, f"--workdir={RUN}"]
    finish_after_kills(command, bucket, seed=2)
    assert_same(paths.as_path(RUN), tmp_path / "local")


@pytest.mark.slow
def test_storage_that_is_away_for_a_while(bucket, monkeypatch):
    """In mid-run, while a checkpoint is being saved: it is saved, and all goes on."""
    monkeypatch.setenv(PATIENCE, "60")
    after = loop.Loop._log_evaluate_save

    def fail_at_four(self, step, *rest):
        if step == 4:
            bucket.fail(3)
        after(self, step, *rest)

    monkeypatch.setattr(loop.Loop, "_log_evaluate_save", fail_at_four)
    train(tiny.config(), RUN)
    assert_same(paths.as_path(RUN), tiny.finished_run())


@pytest.mark.slow
def test_storage_that_is_gone_for_good(bucket):
    """One line, exit code 2, the last good step named; and the same command resumes."""
    command = tiny.train_command(RUN)
    process = subprocess.Popen(
        command,
        env=tiny.environment(**{PATIENCE: "4"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    saved = paths.as_path(f"{RUN}/checkpoints/4/commit_success.txt")
    while not saved.exists():
        assert process.poll() is None
        time.sleep(0.05)
    bucket.fail()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2, errors
    lines = errors.splitlines()
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert error == lines[-1] and "gs://tests" in error
    assert "complete checkpoints kept: " in error and error.endswith((" 4", " 6"))
    assert "Traceback" not in errors
    bucket.recover()
    assert not run_killed(command, bucket, 10**9)
    assert_same(paths.as_path(RUN), tiny.finished_run())


def test_a_bucket_that_is_not_there_ends_before_anything_is_begun(bucket, monkeypatch):
    with pytest.raises(StorageError) as caught:
        train(tiny.config(), "gs://absent/run")
    assert str(caught.value) == "gs://absent: no such bucket; make it first"
    bucket.fail(status=403)
    with pytest.raises(StorageError, match="^gs://tests.*: no permission; sign in as"):
        train(tiny.config(), RUN)


@pytest.fixture(scope="module")
def uploaded():
    """Copies the finished run and the tiny data into a bucket that a test has."""

    def upload():
        folder = paths.as_path(RUN)
        last = ("commit_success.txt", "config.json")
        paths.upload_tree(tiny.finished_run(), folder, last)
        data = prepared_directory("shapes", tiny.data_dir())
        place = paths.as_path(f"gs://tests/data/shapes/{data.name}")
        copies.upload_prepared(data, place)

    return upload


@pytest.mark.slow
def test_every_command_works_in_a_bucket(bucket, uploaded, tmp_path):
    uploaded()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "a.png")
    cached = ["--config.dataset.data_dir=gs://tests/data"]
    cached += [f"--config.dataset.cache_dir={tmp_path}"]
    commands = {
        "train": ["train", *tiny.train_command("gs://tests/new")[2:4], *cached]
        + ["--workdir=gs://tests/new", "--config.num_steps=4"]
        + ["--config.logging.profile_start=2", "--config.logging.profile_steps=1"]
        + ["--config.logging.tensorboard=true", "--config.eval.pictures=2"],
        "resume": ["train", f"--workdir={RUN}"],
        "evaluate": ["evaluate", f"--workdir={RUN}", "--out=gs://tests/out/e.json"]
        + ["--report=gs://tests/out/report", *cached],
        "predict": ["predict", f"--workdir={RUN}", f"--images={tmp_path}/a.png"]
        + ["--out=gs://tests/out/predicted"],
        "to torch": ["convert", RUN, "gs://tests/out/tiny.safetensors"],
        "export": ["export", f"--workdir={RUN}", "--out=gs://tests/out/t.stablehlo"]
        + ["--size=32x32"],
        "exported": ["predict", "--workdir=gs://tests/out/t.stablehlo"]
        + [f"--images={tmp_path}/a.png", "--out=gs://tests/out/exported"],
        "plot": ["plot", f"--workdir={RUN}", "--out=gs://tests/out/curves.png"],
        "init": ["train", *tiny.train_command("gs://tests/init")[2:]]
        + [f"--config.model.init_from={RUN}", "--config.num_steps=2"],
        "report": ["dataset_report", "--name=shapes", "--data_dir=gs://tests/data"]
        + ["--out=gs://tests/out/data"],
    }
    (tmp_path / "logs").mkdir()
    outcomes = tiny.run_scripts(commands, tmp_path / "logs", "tests.tiny")
    for name, (code, _, errors) in outcomes.items():
        assert code == 0, f"{name}: {errors}"
    out = paths.as_path("gs://tests/out")
    assert json.loads((out / "e.json").read_text()) == pytest.approx(
        tiny.result(tiny.finished_run())["metrics"]
    )
    assert (out / "report" / "val" / "classes.txt").is_file()
    assert (out / "report" / "val" / "worst").is_dir()
    for folder in ("predicted", "exported"):
        summary = json.loads((out / folder / "summary.json").read_text())
        assert [image["name"] for image in summary["images"]] == ["a"]
        assert (out / folder / "a_label.png").is_file()
    assert (out / "curves.png").stat().length > 1000
    assert (out / "data" / "report.json").is_file()
    left = sorted(path.name for path in paths.as_path("gs://tests/new").iterdir())
    assert left.pop(4).startswith("events.")
    assert left == ["checkpoints", "config.json", "curves.png", "environment.json"] + [
        *("metrics.jsonl", "predictions", "profile", "result.json")
    ]
    assert len([*paths.as_path("gs://tests/new/predictions").iterdir()]) == 2


@pytest.mark.slow
def test_converted_weights_in_a_bucket(bucket, tmp_path):
    file = "gs://tests/weights/tiny.safetensors"
    export_weights(tiny.finished_run(), "best", file)
    with pytest.raises(
        CheckpointError, match=f"^{file} exists already; choose another"
    ):
        export_weights(tiny.finished_run(), "best", file)
    with pytest.raises(WeightsError, match=f"^{file}: no HRNet variant has these size"):
        hrnet_jax.load_run(file)
    with pytest.raises(WeightsError, match=r"^gs://tests/none.pth: no such file"):
        hrnet_jax.load_run("gs://tests/none.pth")
    model = f"segmentation/{tiny.VARIANT_NAME}"
    options = ImportOptions(model=model, options={"num_classes": 7})
    place = "gs://tests/converted"
    import_weights(file, place, options)
    taken = "is not empty; choose a new directory"
    with pytest.raises(CheckpointError, match=f"{taken}, or --overwrite"):
        import_weights(file, place, options)
    import_weights(file, place, options, overwrite=True)
    opened, source = hrnet_jax.load_run(place), hrnet_jax.load_run(tiny.finished_run())
    assert opened.step == 0
    jax.tree.map(np.testing.assert_array_equal, opened.variables, source.variables)
    # Something else there is left alone.
    paths.write_object("gs://tests/mine/notes.txt", b"")
    with pytest.raises(CheckpointError, match=f"{taken}$"):
        import_weights(file, "gs://tests/mine", options)


@pytest.mark.slow
def test_one_training_at_a_time(bucket):
    """Another process of this host, which goes on."""
    process = subprocess.Popen(
        [*tiny.train_command(RUN), "--config.num_steps=100000"],
        env=tiny.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (paths.as_path(RUN) / "config.json").exists():
            assert process.poll() is None
            time.sleep(0.1)
        with pytest.raises(CheckpointError, match=f"process {process.pid} on "):
            train(tiny.config(num_steps=100000), RUN)
    finally:
        process.kill()
        process.wait()
