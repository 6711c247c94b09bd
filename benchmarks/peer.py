"""A process that times something in another environment, when asked to.

It writes a line when it is ready, and one in answer to each line that it reads: seconds
of a call, or `failed: ` and why.
"""

import os
import pathlib
import subprocess

_FAILED = "failed: "


def limit_threads(count: int) -> None:
    """Leaves this process, and its children, so many cores; before JAX starts."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:count])


class Peer:
    """A script that runs in another Python.

    Attributes:
        greeting: its first line.

    Args:
        python: the interpreter.
        script: what it runs; imports are those of the checkout.
        *arguments: of the script.

    Raises:
        ValueError: if it does not start.
    """

    def __init__(self, python: str, script: pathlib.Path, *arguments: str):
        kept = {
            # As `runtime.keep_freed_memory` lets our own process keep its memory.
            "MALLOC_MMAP_MAX_": "0",
            "MALLOC_TRIM_THRESHOLD_": str(2**63 - 1),
            "MALLOC_ARENA_MAX": "1",
            "PYTHONPATH": str(script.resolve().parents[1]),
        }
        try:
            self._process = subprocess.Popen(
                [python, str(script), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | kept,
            )
        except OSError as error:
            raise ValueError(f"--torch-python: {error}") from error
        self.greeting = self._answer()

    def _answer(self) -> str:
        line = self._process.stdout.readline().strip()
        if not line:
            self.close()
            raise ValueError(
                "--torch-python: the process with torchvision ended; its own message "
                "is above"
            )
        if line.startswith(_FAILED):
            raise ValueError(line.removeprefix(_FAILED))
        return line

    def ask(self, request: str) -> str:
        """The answer to a line.

        Raises:
            ValueError: with its reason, if that failed there.
        """
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        return self._answer()

    def seconds(self, name: str) -> float:
        """Seconds of one call there."""
        return float(self.ask(name))

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
