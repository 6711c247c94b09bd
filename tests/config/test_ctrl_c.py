"""Ctrl-C ends a script in one line, or asks first."""

import signal
import subprocess
import sys
import threading

import pytest

from hrnet_jax.config import ctrl_c
from tests import tiny

# Sleeps outside of Python, as a compilation does, which no handler interrupts.
SCRIPT = """
import ctypes, signal, sys
from hrnet_jax.config import ctrl_c

signal.signal(signal.SIGINT, getattr(signal, sys.argv[1]))
ctrl_c.ends_this_script()
libc = ctypes.CDLL(None)
if sys.argv[2] == "asks":
    with ctrl_c.first_one_asks(lambda: print("asked", flush=True)):
        print("ready", flush=True)
        sys.stdin.readline()  # which goes on after a handler
        print("saving", flush=True)
        while libc.sleep(60):
            pass
print("ready", flush=True)
while libc.sleep(1 if sys.argv[1] == "SIG_IGN" else 60):
    pass
"""


# Ends while its workers are as they may be.
WORKERS = """
import sys, time, types
from hrnet_jax.config import ctrl_c

ctrl_c.ends_this_script()
if sys.argv[1] == "half imported":
    sys.modules["multiprocessing"] = types.ModuleType("multiprocessing")
if sys.argv[1] == "running":
    import multiprocessing
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    worker.start()
print("ready", flush=True)
time.sleep(60)
"""


def start(*arguments, script=SCRIPT):
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env=tiny.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def press(process):
    process.send_signal(signal.SIGINT)


def test_a_script_ends_at_once_in_one_line():
    process = start("SIG_DFL", "ends")
    assert process.stdout.readline() == "ready\n"
    press(process)
    assert process.communicate(timeout=30) == ("", "interrupted by Ctrl-C\n")
    assert process.returncode == ctrl_c.EXIT_CODE == 130


@pytest.mark.parametrize("state", ["not imported", "half imported"])
def test_a_script_without_workers_ends_as_well(state):
    process = start(state, script=WORKERS)
    assert process.stdout.readline() == "ready\n"
    press(process)
    assert process.communicate(timeout=30) == ("", "interrupted by Ctrl-C\n")
    assert process.returncode == 130


def test_workers_end_with_the_script():
    process = start("running", script=WORKERS)
    assert process.stdout.readline() == "ready\n"
    press(process)
    # Waits for the worker too, which has the same output and would sleep for longer.
    assert process.communicate(timeout=30) == ("", "interrupted by Ctrl-C\n")
    assert process.returncode == 130


def test_a_script_that_is_asked_ends_at_the_second():
    process = start("SIG_DFL", "asks")
    assert process.stdout.readline() == "ready\n"
    press(process)
    assert process.stdout.readline() == "asked\n"
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "saving\n"
    press(process)
    assert process.communicate(timeout=30) == ("", "interrupted by Ctrl-C\n")
    assert process.returncode == 130


def test_where_ctrl_c_is_ignored_it_stays_so():
    process = start("SIG_IGN", "ends")
    assert process.stdout.readline() == "ready\n"
    press(process)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_in_a_notebook_the_second_interrupts():
    asked, before = [], signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        ctrl_c.first_one_asks(lambda: asked.append(1)),
    ):
        signal.raise_signal(signal.SIGINT)
        assert asked == [1]
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_change_nothing():
    before, within = signal.getsignal(signal.SIGINT), []

    def run():
        with ctrl_c.first_one_asks(lambda: None):
            within.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert within == [before]
