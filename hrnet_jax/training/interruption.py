"""Graceful stop on SIGTERM, as of preempted machines, and on Ctrl-C."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

from hrnet_jax.config import ctrl_c

_log = logging.getLogger(__name__)

# What `scripts/train.py` exits with after a signal, once everything is saved:
# EX_TEMPFAIL, "run the same command again".
EXIT_CODE = 75

# Whether the newest training was asked to stop.
_asked = threading.Event()


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop and has saved its state.

    Like every interruption it passes `except Exception`, so that the stop button of
    a notebook also ends a loop over many runs.

    Attributes:
        step: the step that was saved.
    """

    def __init__(self, step: int):
        super().__init__(
            f"stopped by a signal after step {step}, everything is saved; "
            "run the same command again to resume"
        )
        self.step = step


class EndedEarly(Exception):
    """Training was ended by its caller after an evaluation, and has saved its state.

    Attributes:
        step: the step that was evaluated and saved.
    """

    def __init__(self, step: int):
        super().__init__(f"ended after the evaluation of step {step}, which is saved")
        self.step = step


@contextlib.contextmanager
def watch_for_signals() -> Iterator[Callable[[int], bool]]:
    """Within this context SIGTERM and Ctrl-C ask training to stop instead of ending it.

    A second Ctrl-C acts as it would outside: it raises `KeyboardInterrupt`, or ends a
    script at once. Signals reach the main thread alone; in another one they are not
    watched.

    Yields:
        A function of the step that tells whether to stop now. With several
        processes all of them answer alike, so they save the same step, whichever
        got the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    if jax.process_count() > 1:
        # JAX's preemption service has caught SIGTERM since the processes met, and
        # lets all of them agree on a step.
        with ctrl_c.first_one_asks(lambda: os.kill(os.getpid(), signal.SIGTERM)):
            yield multihost_utils.reached_preemption_sync_point
        return
    _asked.clear()

    def ask() -> None:
        _asked.set()
        _log.info("saving after this step; a second Ctrl-C ends at once")

    previous = signal.signal(signal.SIGTERM, lambda *_: _asked.set())
    try:
        with ctrl_c.first_one_asks(ask):
            yield lambda step: _asked.is_set()
    finally:
        signal.signal(signal.SIGTERM, previous)


def was_asked_to_stop() -> bool:
    """Whether a signal asked the newest training of this process to stop.

    It may have ended all the same: one that comes during the last step changes nothing.
    """
    return _asked.is_set()


def forget_stop() -> None:
    """Has `was_asked_to_stop` tell of what comes from now on."""
    _asked.clear()


def let_signals_end_this() -> None:
    """SIGTERM ends this process from now on: nothing is left to be saved.

    A process alone never changed that, outside `watch_for_signals`.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if jax.process_count() > 1 and is_main:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
