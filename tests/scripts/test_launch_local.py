"""The launcher: what becomes of its processes, its exit code and its output.

Its processes are short Python programs here; tests/training/test_processes.py has
real ones.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests import tiny

SCRIPT = tiny.ROOT / "scripts" / "launch" / "local.py"

# Less patience than a user needs.
IMPATIENT = f"""
import sys
sys.path.insert(0, {str(tiny.ROOT)!r})
from scripts.launch import local as launch_local
launch_local._GRACE = 0.3
launch_local.main()
"""

# What every program here begins with; the file `I_<index>` says that it runs.
BEGINNING = """
import os, pathlib, signal, subprocess, sys, time
me = int(os.environ["HRNET_JAX_PROCESS"])
def say(text):
    print(text, flush=True)
def here():
    pathlib.Path(f"I_{me}").write_text(str(os.getpid()))
def wait_for(*names):
    while not all(os.path.exists(name) for name in names):
        time.sleep(0.01)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the launcher on a program, in an empty folder."""
    launchers = []

    def start(program, *options, launcher=("-c", IMPATIENT), **variables):
        (tmp_path / "program.py").write_text(BEGINNING + program)
        process = subprocess.Popen(
            [sys.executable, *launcher, *options, "--", "program.py"],
            cwd=tmp_path,
            env=tiny.environment(**{"TMPDIR": str(tmp_path)} | variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        launchers.append(process)
        return process

    yield start
    for process in launchers:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start):
    """Runs the launcher to its end: exit code, standard output, standard error."""

    def run(*arguments, **keywords):
        process = start(*arguments, **keywords)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return run


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody has asked for its exit code yet has ended as well.
    state = pathlib.Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_files(folder, *names):
    wait_until(lambda: all((folder / name).exists() for name in names))
    return [int((folder / name).read_text() or 0) for name in names]


def test_each_process_learns_its_place(run):
    program = """
names = "PROCESSES", "PROCESS", "COORDINATOR", "LAUNCHER"
say(*[[os.environ["HRNET_JAX_" + name] for name in names]
      + [os.getppid(), os.environ["JAX_PLATFORMS"], os.environ["XLA_FLAGS"]]])
"""
    code, out, err = run(
        program,
        "--processes=3",
        "--devices_per_process=2",
        "--show_all",
        XLA_FLAGS="--xla_a=1 --xla_force_host_platform_device_count=8",
    )
    assert code == 0
    (first,) = (eval(line) for line in out.splitlines())
    others = {line[:3]: eval(line[3:]) for line in err.splitlines()}
    assert sorted(others) == ["[1]", "[2]"]
    for index, place in enumerate([first, others["[1]"], others["[2]"]]):
        assert place[:2] == ["3", str(index)]
        assert place[2] == first[2] and place[2].startswith("127.0.0.1:")
        assert int(place[3]) == place[4]
        assert place[5] == "cpu"
        assert place[6] == "--xla_a=1 --xla_force_host_platform_device_count=2"


def test_only_the_first_process_is_heard(run, tmp_path):
    program = 'say(f"out {me}"); print(f"err {me}", file=sys.stderr)'
    assert run(program) == (0, "out 0\n", "err 0\n")
    assert run(program, f"--log_dir={tmp_path}/logs") == (0, "out 0\n", "err 0\n")
    assert os.listdir(tmp_path / "logs") == ["process_1.log"]
    text = (tmp_path / "logs/process_1.log").read_text()
    assert sorted(text.splitlines()) == ["err 1", "out 1"]


def test_files_are_kept_only_where_something_fails(run, tmp_path):
    program = "sys.exit(int(os.environ['CODE']))"
    for code in (0, 75, 2, 3):
        run(program, CODE=str(code))
        left = list(tmp_path.glob("hrnet-jax-processes-*"))
        assert len(left) == (code == 3), code


def test_the_first_failure_ends_all_and_its_code_is_passed_on(run, tmp_path):
    program = """
here()
if me == 1:
    wait_for("I_0", "I_2")
    say("no more milk")
    sys.exit(3)
time.sleep(600)
"""
    code, _, err = run(program, "--processes=3")
    assert code == 3
    lines = err.splitlines()
    assert lines[:2] == ["process 1 exited with 3", "[1] no more milk"]
    assert lines[2].startswith("output of the other processes: ")
    pids = wait_for_files(tmp_path, "I_0", "I_1", "I_2")
    assert not any(map(is_running, pids))


def test_wrong_input_that_the_first_process_told_is_not_told_again(run):
    code, _, err = run('sys.exit(print(f"error: {me}", file=sys.stderr) or 2)')
    assert (code, err) == (2, "error: 0\n")


def test_a_killed_process_ends_all_at_once_with_their_workers(start, tmp_path):
    program = """
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(f"W_{me}").write_text(str(worker.pid))
here()
time.sleep(600)
"""
    # Patience is for those that can be told.
    process = start(program, launcher=(str(SCRIPT),))
    pids = wait_for_files(tmp_path, "I_0", "I_1", "W_0", "W_1")
    os.kill(pids[1], signal.SIGKILL)
    _, err = process.communicate(timeout=9)
    assert process.returncode == 128 + 9
    assert err.startswith("process 1 was ended by signal 9\n")
    wait_until(lambda: not any(map(is_running, pids)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_every_process_once_and_75_is_passed_on(number, start, tmp_path):
    program = """
signals = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda got, _: signals.append(signal.Signals(got).name))
here()
while not signals:
    time.sleep(0.01)
time.sleep(0.3)
pathlib.Path(f"S_{me}").write_text(" ".join(signals))
sys.exit(75)
"""
    process = start(program, "--processes=3", launcher=(str(SCRIPT),))
    wait_for_files(tmp_path, "I_0", "I_1", "I_2")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (75, "")
    for index in range(3):
        assert (tmp_path / f"S_{index}").read_text() == number.name


def test_a_second_ctrl_c_ends_those_who_do_not_listen(start, tmp_path):
    program = """
signal.signal(signal.SIGINT, lambda *_: pathlib.Path(f"S_{me}").touch())
here()
while True:
    time.sleep(0.01)
"""
    process = start(program, launcher=(str(SCRIPT),))
    pids = wait_for_files(tmp_path, "I_0", "I_1")
    process.send_signal(signal.SIGINT)
    wait_for_files(tmp_path, "S_0", "S_1")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in (128 + 2, 128 + 9)
    assert not any(map(is_running, pids))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--processes=0", "--", "program.py"], "--processes must be at least 1"),
        (["--devices_per_process=0", "--", "x.py"], "--devices_per_process must be"),
        (["--processes=2"], "expected a command after --"),
        (["--", "gone.py"], "gone.py: no such file; expected a script"),
        (["--", "no-such-command"], "no-such-command: no such command"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, tmp_path):
    process = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=tmp_path,
        env=tiny.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert message in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
