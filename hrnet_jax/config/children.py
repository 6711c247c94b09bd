"""Processes that a script starts, which end when it ends and hear of its signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import IO, Any

from hrnet_jax.config import ctrl_c


class Children:
    """Processes of this one, in sessions of their own.

    A terminal's Ctrl-C reaches this process alone, and what a child starts ends with
    it.

    Attributes:
        processes: in the order of their start.
        signal: the first of SIGTERM and SIGINT that came, if any.
    """

    def __init__(self):
        self.processes: list[subprocess.Popen[bytes]] = []
        self.signal: int | None = None
        self._told = 0

    def hear_signals(self) -> None:
        """From now on SIGTERM and Ctrl-C are for the children."""
        signal.signal(signal.SIGTERM, self._on_signal)
        ctrl_c.is_handled_by(self._on_signal)

    def start(
        self, command: Sequence[str], variables: Mapping[str, str], **options: Any
    ) -> subprocess.Popen[bytes] | None:
        """Starts one more, unless a signal came.

        Args:
            command: what it runs.
            variables: of its environment, beside those of this process.
            options: of `subprocess.Popen`.
        """
        if self.signal is not None:
            return None
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )
        self.processes.append(process)
        self._hand_on()  # it may have come while this one was being started
        return process

    def end(self) -> None:
        """Ends whatever is left of them and of what they started."""
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # nothing is left
            process.wait()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal == number == signal.SIGINT:
            # The user is in a hurry; a child may be deep in compilation.
            self.end()
        self.signal = self.signal or number
        self._hand_on()

    def _hand_on(self) -> None:
        """Passes the signal on, once to each: a second one would end them at once."""
        while self.signal is not None and self._told < len(self.processes):
            process = self.processes[self._told]
            self._told += 1
            process.send_signal(self.signal)


def exit_code(returncode: int) -> int:
    """What a shell would report of a process: 128 + n for signal n."""
    return returncode if returncode >= 0 else 128 - returncode


def show(number: int, stream: IO[bytes]) -> None:
    """Copies what a process prints to standard error, with its number."""
    with stream:
        for line in stream:
            text = line.decode(errors="replace").rstrip("\n")
            sys.stderr.write(f"[{number}] {text}\n")
