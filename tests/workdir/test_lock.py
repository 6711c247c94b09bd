"""One training at a time in a work directory."""

import errno
import json
import os
import socket
import subprocess
import sys

import pytest

from hrnet_jax.errors import CheckpointError
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.train import train
from hrnet_jax.workdir import lock
from tests import tiny

HOLD = """
import pathlib, sys, time
from hrnet_jax.workdir.lock import locked

with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that trains in `tmp_path / "run"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        env=tiny.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_training_names_the_first_and_a_killed_one_blocks_nobody(
    holder, tmp_path, monkeypatch
):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    with pytest.raises(CheckpointError) as error:
        train(tiny.config(), tmp_path / "run")
    for text in (
        f"{tmp_path / 'run'}: another training is at work there",
        f"(process {holder.pid} on {socket.gethostname()}, since 2",
        "wait for its end, or choose another work directory",
    ):
        assert text in str(error.value)
    # Nothing was begun, nor taken from the first.
    assert [path.name for path in (tmp_path / "run").iterdir()] == [lock.LOCK_FILE]
    holder.kill()
    holder.wait()
    with lock.locked(tmp_path / "run"):
        text = (tmp_path / "run" / lock.LOCK_FILE).read_text()
        assert json.loads(text)["process"] == os.getpid()
    assert (tmp_path / "run" / lock.LOCK_FILE).read_text() == ""


def test_a_training_of_the_same_process_is_another_one(tmp_path):
    with (
        lock.locked(tmp_path),
        pytest.raises(CheckpointError, match=f"process {os.getpid()} on"),
        lock.locked(tmp_path),
    ):
        pass
    with lock.locked(tmp_path):
        pass


def test_who_did_not_leave_a_name_is_refused_all_the_same(tmp_path):
    with lock.locked(tmp_path):
        (tmp_path / lock.LOCK_FILE).write_text("")
        with (
            pytest.raises(CheckpointError, match="did not leave its name yet"),
            lock.locked(tmp_path),
        ):
            pass


def ended_process():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("host", "process", "refused"),
    [
        ("here", os.getppid, True),
        ("here", lambda: 1, True),
        ("here", os.getpid, False),
        ("here", ended_process, False),
        ("elsewhere", os.getppid, False),
    ],
    ids=["parent", "first", "itself", "ended", "elsewhere"],
)
def test_without_locks_a_process_of_this_host_keeps_others_out(
    host, process, refused, tmp_path, monkeypatch, caplog
):
    def flock(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    host = socket.gethostname() if host == "here" else host
    content = {"host": host, "process": process(), "since": "today"}
    (tmp_path / lock.LOCK_FILE).write_text(json.dumps(content))
    if refused:
        with pytest.raises(CheckpointError, match="today"), lock.locked(tmp_path):
            pass
    else:
        with lock.locked(tmp_path):
            pass
    (line,) = caplog.messages
    assert line == (
        f"{tmp_path / lock.LOCK_FILE}: no locks on this file system (not supported); "
        "see to it that no other training uses this folder"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CheckpointError, match=r"file/run/training.lock: cannot be writ"),
        lock.locked(tmp_path / "file" / "run"),
    ):
        pass
