"""Several processes of a test: how to launch them, and what can befall them.

Each of them runs a script that knows the tiny network, after an accident was
prepared: `python tests/together.py ACCIDENT scripts/train.py ...`
"""

import contextlib
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import time

import jax
import numpy as np

from tests import tiny
from tests.doubles import double_precision

LAUNCHER = str(tiny.ROOT / "scripts" / "launch" / "local.py")


def launch(
    processes: int, accident: str, script: str, *arguments: str, doubles: bool = False
) -> subprocess.CompletedProcess:
    """Runs a script in several processes, to their end.

    Args:
        processes: how many.
        accident: one of `ACCIDENTS`.
        script: its name.
        *arguments: of the script.
        doubles: whether they compute in double precision.
    """
    command = [str(tiny.ROOT / "scripts" / f"{script}.py"), *arguments]
    return subprocess.run(
        [sys.executable, LAUNCHER, f"--processes={processes}", "--"]
        + [__file__, accident, *command],
        # What the launcher keeps of failures goes with the session.
        env=tiny.environment(
            TMPDIR=str(tiny.session_dir()), JAX_ENABLE_X64=str(int(doubles))
        ),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def restored(workdir: pathlib.Path, process: int) -> list[np.ndarray]:
    """The state from which a process of the last session resumed."""
    with np.load(workdir / f"restored_{process}.npz") as file:
        return [file[name] for name in file.files]


def _keep_restored_state() -> None:
    """Writes the state that training starts from, as this process holds it."""
    from hrnet_jax.training import train as train_module

    start_state = train_module.start_state

    def keeping(run, checkpoints):
        state = start_state(run, checkpoints)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
        path = checkpoints.workdir / f"restored_{jax.process_index()}.npz"
        np.savez(path, *leaves)
        return state

    train_module.start_state = keeping


def _after_steps(count: int, action) -> None:
    """Has `action` run in process 1 after so many steps of this session."""
    from hrnet_jax.training.loop import Loop

    after, steps = Loop._log_evaluate_save, []

    def patched(self, step, *arguments):
        steps.append(step)
        if len(steps) == count and jax.process_index() == 1:
            action()
        if len(steps) >= count:
            # JAX looks for signals once a second.
            time.sleep(1.2)
        after(self, step, *arguments)

    Loop._log_evaluate_save = patched


def terminate() -> None:
    """Process 1 alone is asked to stop: Ctrl-C, which it hands on as SIGTERM."""
    _keep_restored_state()
    _after_steps(1, lambda: signal.raise_signal(signal.SIGINT))


def kill() -> None:
    """Process 1 is killed before it can save its second step."""
    _keep_restored_state()
    _after_steps(2, lambda: os.kill(os.getpid(), signal.SIGKILL))


def damage() -> None:
    """Process 1 comes upon a training record that does not decode."""
    from hrnet_jax.data.records import Records
    from hrnet_jax.errors import DataError

    read = Records.__getitem__

    def patched(self, index):
        if os.environ["HRNET_JAX_PROCESS"] == "1":
            raise DataError(f"cannot decode record {index}")
        return read(self, index)

    Records.__getitem__ = patched


ACCIDENTS = {
    "none": lambda: None,
    "terminated": terminate,
    "killed": kill,
    "damaged": damage,
}

if __name__ == "__main__":
    name, script, *rest = sys.argv[1:]
    tiny.get_config()
    ACCIDENTS[name]()
    sys.argv = [script, *rest]
    with double_precision() if jax.config.jax_enable_x64 else contextlib.nullcontext():
        runpy.run_path(script, run_name="__main__")
