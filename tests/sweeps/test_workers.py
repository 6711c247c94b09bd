"""Workers of one host share its cores and accelerators, and end together."""

import os
import signal
import sys
import threading
import time

import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.sweeps import workers
from hrnet_jax.sweeps.workers import Host, Workers, shares


def test_cores_and_gpus_are_shared():
    found = shares(2, Host(cores=(0, 1, 2, 5), gpus=("0", "3")), {})
    assert [share["HRNET_JAX_SWEEP_CORES"] for share in found] == ["0,1", "2,5"]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in found] == ["0", "3"]
    told = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    one = shares(2, Host(cores=(0, 1), gpus=("0",)), told)
    assert [share["CUDA_VISIBLE_DEVICES"] for share in one] == ["0", "0"]
    assert "CUDA_VISIBLE_DEVICES" not in shares(1, Host(cores=(0,)), {})[0]


@pytest.mark.parametrize(
    ("count", "host", "message"),
    [
        (0, Host(), "--workers is 0, expected at least 1"),
        (
            2,
            Host((0,)),
            "--workers=2, but this process may use 1 processor cores; expec",
        ),
        (
            2,
            Host((0, 1), ("0",)),
            "1 GPU is there for them, whose memory one process ta",
        ),
        (2, Host((0, 1), tpus=4), "a TPU belongs to one process; expected --workers=1"),
    ],
)
def test_too_little_to_share_is_one_line(count, host, message):
    with pytest.raises(ConfigError) as error:
        shares(count, host, {})
    assert message in str(error.value)


def test_this_host_is_asked_without_jax(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert workers.this_host().gpus == ()
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    found = {"/dev/nvidia[0-9]*": ["a"] * 4, "/dev/vfio/[0-9]*": ["a"] * 8}
    monkeypatch.setattr(workers.glob, "glob", lambda name: found.get(name, []))
    monkeypatch.setattr(workers.importlib.util, "find_spec", lambda name: None)
    assert workers.this_host().gpus == ("1", "3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert workers.this_host().gpus == ("0", "1", "2", "3")
    assert workers.this_host().tpus == 0
    monkeypatch.setattr(workers.importlib.util, "find_spec", lambda name: name)
    assert workers.this_host().tpus == 8


# Ends with the code of its number in the list, on SIGTERM with 75.
CHILD = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("worker says", os.environ["NUMBER"], file=sys.stderr, flush=True)
code = sys.argv[1:][int(os.environ["NUMBER"])]
if code == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if code == "forever":
    time.sleep(60)
sys.exit(int(code))
"""


@pytest.fixture(autouse=True)
def signals():
    """Handlers as they were, after a command that sets its own."""
    kept = {number: signal.getsignal(number) for number in (15, 2)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def run(*codes) -> int:
    command = [sys.executable, "-c", CHILD, *codes]
    return Workers(command, [{"NUMBER": str(k)} for k in range(len(codes))]).run()


@pytest.mark.parametrize(
    ("codes", "code"),
    [(("0", "killed"), 0), (("75", "75"), 75), (("killed", "75"), 137), (("2",), 2)],
)
def test_one_that_saw_the_end_of_the_sweep_is_enough(codes, code, capfd):
    assert run(*codes) == code
    said = capfd.readouterr().err
    assert all(f"[{k}] worker says {k}" in said for k in range(len(codes)))
    assert said.count("was ended by signal 9") == codes.count("killed")


def test_sigterm_is_handed_on(capfd):
    def stop():
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    assert run("forever", "forever") == 75
    thread.join()
