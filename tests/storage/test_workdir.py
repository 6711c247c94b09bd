"""Checkpoints, metrics, events and the lease of a work directory in a bucket."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from orbax.checkpoint import type_handlers
from orbax.checkpoint._src.multihost import multihost

from hrnet_jax.errors import CheckpointError, StorageError
from hrnet_jax.experiment.sections import CheckpointOptions
from hrnet_jax.storage import paths, patience, spool
from hrnet_jax.training.recorded import read_recorded
from hrnet_jax.training.reporting import Reporter, read_metrics
from hrnet_jax.workdir import lease
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.lock import LOCK_FILE, locked
from hrnet_jax.workdir.storage import be_patient, patient_options
from tests.storage.server import PATIENCE

RUN = "gs://tests/run"
STATE = {"weights": jax.numpy.arange(6.0), "step": 3}


def opened(keep_latest=2):
    options = CheckpointOptions(keep_latest=keep_latest, keep_best=1)
    return Checkpoints(RUN, options, ("score", "max"))


def names(folder="checkpoints") -> list[str]:
    return sorted(path.name for path in paths.as_path(f"{RUN}/{folder}").iterdir())


def test_saves_keeps_and_restores(bucket):
    checkpoints = opened()
    for step, score in ((1, 0.5), (2, 0.9), (3, None), (4, 0.7), (5, None)):
        metrics = None if score is None else {"score": score}
        checkpoints.save(step, STATE, {"x": step}, metrics)
    checkpoints.close()
    found = Checkpoints(RUN)
    assert found.steps() == [2, 4, 5] and names() == ["2", "4", "5"]
    assert found.best() == 2 and found.latest() == 5
    assert found.meta(4) == {"x": 4, "best_metric": ["score", "max"]}
    assert found.metrics(2) == {"score": 0.9}
    np.testing.assert_array_equal(found.restore_arrays(5)["weights"], np.arange(6.0))
    np.testing.assert_array_equal(found.restore(5, STATE)["weights"], np.arange(6.0))
    found.close()


def test_a_step_whose_saving_or_deletion_was_cut_is_gone(bucket):
    checkpoints = opened(keep_latest=3)
    for step in (1, 2, 3):
        checkpoints.save(step, STATE, {}, {"score": 0.1})
    checkpoints.close()
    # As a deletion leaves it that is killed early, and a save that is killed late.
    for step in (1, 3):
        paths.as_path(f"{RUN}/checkpoints/{step}/commit_success.txt").unlink()
    # Nobody is at work on metrics of what does not count.
    paths.write_object(f"{RUN}/checkpoints/3/metrics/metrics", b"half")
    reader = Checkpoints(RUN)
    assert reader.steps() == [2] and names() == ["1", "2", "3"]
    reader.close()
    checkpoints = opened(keep_latest=3)
    assert checkpoints.steps() == [2] and names() == ["2"]
    checkpoints.save(3, STATE, {}, {"score": 0.2})
    checkpoints.close()
    assert names() == ["2", "3"]


def test_a_save_while_storage_does_not_answer(bucket, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY", 0.1)
    checkpoints = opened()
    checkpoints.save(1, STATE, {})
    checkpoints.wait()
    bucket.fail(0.5)
    checkpoints.save(2, STATE, {})
    checkpoints.close()
    assert names() == ["1", "2"]


def test_a_save_that_storage_refuses_for_good(bucket, monkeypatch):
    monkeypatch.setenv(PATIENCE, "0.5")
    checkpoints = opened()
    checkpoints.save(1, STATE, {})
    checkpoints.wait()
    bucket.fail()
    with pytest.raises(CheckpointError) as caught:
        checkpoints.save(2, STATE, {})
        checkpoints.wait()
    assert str(caught.value) == (
        "gs://tests/run/checkpoints: saving step 2 failed (does not answer (HTTP 503), "
        "asked for 0 s); complete checkpoints kept: 1"
    )
    # What is only away is not called damaged.
    with pytest.raises(StorageError, match="^gs://tests: does not answer"):
        checkpoints.meta(1)
    bucket.recover()
    checkpoints.close()
    found = Checkpoints(RUN)
    assert found.steps() == [1]
    found.close()


def test_metrics_are_there_before_each_checkpoint(bucket):
    reporter = Reporter(RUN, tensorboard=False)
    reporter.scalars(1, {"train/loss": 1.5})
    assert not paths.as_path(f"{RUN}/metrics.jsonl").exists()
    reporter.before_save()
    assert read_metrics(RUN) == [{"step": 1, "train/loss": 1.5}]
    reporter.scalars(2, {"train/loss": 1.0, "eval/mean_iou": 0.5})
    reporter.close()
    assert [line["step"] for line in read_metrics(RUN)] == [1, 2]
    assert [*read_recorded(RUN).curves] == ["train/loss", "eval/mean_iou"]
    # Resumed from step 1: the later line goes.
    resumed = Reporter(RUN, 1, tensorboard=False)
    assert [line["step"] for line in read_metrics(RUN)] == [1]
    resumed.scalars(2, {"train/loss": 0.9})
    resumed.close()
    assert [line["train/loss"] for line in read_metrics(RUN)] == [1.5, 0.9]


@pytest.mark.slow
def test_events_are_copied_sometimes_and_at_the_end(bucket, monkeypatch):
    reporter = Reporter(RUN)
    reporter.scalars(1, {"train/loss": 1.5})
    reporter.pictures(1, {"a": np.zeros((4, 4, 3), np.uint8)})
    assert not paths.as_path(RUN).exists()
    monkeypatch.setattr(spool, "INTERVAL", 0.0)
    reporter.scalars(2, {"train/loss": 1.0})
    first = {path.name: path.stat().length for path in paths.as_path(RUN).iterdir()}
    assert [name.partition(".")[0] for name in sorted(first)] == ["events", "metrics"]
    written = len([1 for method, _ in bucket.requests if method == "POST"])
    folder = reporter._spool.folder
    reporter.close()
    last = {path.name: path.stat().length for path in paths.as_path(RUN).iterdir()}
    assert last.keys() == first.keys() and sum(last.values()) > sum(first.values())
    assert not folder.exists()
    # Only what changed.
    again = len([1 for method, _ in bucket.requests if method == "POST"])
    assert again == written + 1


def test_a_failed_session_keeps_its_own_error(bucket, monkeypatch):
    monkeypatch.setenv(PATIENCE, "0")
    reporter = Reporter(RUN, tensorboard=False)
    reporter.scalars(1, {"train/loss": 1.5})
    bucket.fail()
    with pytest.raises(StorageError):
        reporter.before_save()
    reporter.close(failed=True)


@pytest.fixture
def quick(monkeypatch):
    """A lease that is renewed and given up soon."""
    monkeypatch.setattr(lease, "BEAT", 0.2)
    monkeypatch.setattr(lease, "GONE", 1.0)
    monkeypatch.setattr(lease, "_MEETING", 0.05)


def held_by(**changes):
    """What the lease says of a process of another host."""
    holder = {"host": "elsewhere", "process": 7, "since": "2026-01-01", "token": "x"}
    content = json.dumps(holder | changes).encode()
    paths.write_object(f"{RUN}/{LOCK_FILE}", content)


def test_one_training_holds_the_lease_and_gives_it_back(bucket, quick):
    run = paths.as_path(RUN)
    with locked(run):
        held = lease.read_lease(run / LOCK_FILE)
        assert held["host"] == socket.gethostname() and held["process"] == os.getpid()
        deadline = time.monotonic() + 20
        while lease.read_lease(run / LOCK_FILE)["beat"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert not (run / LOCK_FILE).exists()


def test_a_training_of_another_host_that_goes_on_keeps_others_out(bucket, quick):
    held_by(beat=0)
    ended = threading.Event()

    def beat():
        number = 0
        while not ended.wait(0.1):
            number += 1
            held_by(beat=number)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(CheckpointError) as caught, locked(paths.as_path(RUN)):
            pass
    finally:
        ended.set()
        thread.join()
    assert str(caught.value) == (
        f"{RUN}: another training is at work there (process 7 on elsewhere, since "
        "2026-01-01); wait for its end, or choose another work directory"
    )


def test_a_training_of_another_host_that_is_gone_blocks_nobody_for_long(bucket, quick):
    held_by(beat=3)
    start = time.monotonic()
    with locked(paths.as_path(RUN)):
        assert time.monotonic() - start >= 1.0
        found = lease.read_lease(paths.as_path(RUN) / LOCK_FILE)
        assert found["process"] == os.getpid()


def test_a_killed_training_of_this_host_blocks_nobody(bucket):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    held_by(host=socket.gethostname(), process=process.pid)
    start = time.monotonic()
    with locked(paths.as_path(RUN)):
        assert time.monotonic() - start < lease.GONE / 2


def test_two_that_begin_at_the_same_moment(bucket, quick, monkeypatch):
    write = lease._write

    def late(path, own, beat):
        write(path, own, beat)
        held_by(token="of the other")

    monkeypatch.setattr(lease, "_write", late)
    message = "another training began there at this moment"
    with (
        pytest.raises(CheckpointError, match=message),
        locked(paths.as_path(RUN)),
    ):
        pass


def test_a_lease_that_another_took(bucket, quick, caplog):
    with locked(paths.as_path(RUN)):
        held_by(token="of the other")
        deadline = time.monotonic() + 20
        while (
            lease.__name__ not in [r.name for r in caplog.records]
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
    assert f"{RUN}: process 7 on elsewhere began a training there as well; end one" in [
        record.getMessage() for record in caplog.records
    ]
    # It is the other's to give back.
    assert (paths.as_path(RUN) / LOCK_FILE).exists()


def test_tensorstore_and_orbax_are_as_patient(monkeypatch):
    monkeypatch.setenv(PATIENCE, "7")
    be_patient()
    context = type_handlers.get_ts_context().spec.to_json()
    # The delays are those that it has by itself, 1 s to 32 s, and leaves out here.
    assert context["gcs_request_retries"] == {"max_retries": 3}
    assert multihost.coordination_timeout() == 607
    assert patient_options().timeout_secs == 607
