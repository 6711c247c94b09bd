"""If one of several processes fails, all of them end, and the reason is printed once.

Without this a failed process blocks in the shutdown barrier while the others block
in the next collective. It therefore posts its error to the coordinator's key-value
store, which a thread in every process polls.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import jax

# The coordinator's client has no public name; Orbax takes it from here as well.
from jax._src import distributed as jax_distributed

from hrnet_jax.errors import HRNetError, in_one_line

# Exit codes: for wrong input, and for everything else.
INPUT_ERROR = 2
BUG = 1

_NOTE = "hrnet_jax/failure"
_GONE = "hrnet_jax/gone"
_FINISHED = "hrnet_jax/finished"
# Seconds between two looks for a note.
_INTERVAL = 0.5
# Seconds for a process to find a failure itself after it read a note: wrong input is
# found by all processes, at slightly different times.
_GRACE = 1.5
# Seconds to wait for a note before an error that can be the echo of another
# process's end, such as a connection that closed, is believed.
_ECHO = 3.0
# Seconds that process 0, whom the others ask, stays for them.
_PATIENCE = 5.0
# The first to finish waits for those that still write or draw.
_A_DAY = 24 * 3600


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Within this context the failure of one process ends all of them.

    An error of the user (`errors.in_one_line`) ends with the line `error: <message>`
    and exit code 2, any other error with 1, and `sys.exit` with its own code. Process 0 prints what failed,
    wherever that was; tracebacks stay with the process they belong to. Processes
    that succeed wait for each other. Ctrl-C ends each at once.

    Alone, a process only passes its errors on.
    """
    if jax.process_count() == 1:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    watch = _Watch()
    try:
        yield
    except HRNetError as error:
        if isinstance(error.__cause__, jax.errors.JaxRuntimeError):
            watch.wait_for_note()
        watch.fail(INPUT_ERROR, str(error))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else BUG
        watch.fail(code, f"exited: {error}")
    except Exception as error:  # noqa: BLE001 (any bug would hang the others)
        watch.wait_for_note()
        message = in_one_line(error)
        if message is not None:
            watch.fail(INPUT_ERROR, message)
        traceback.print_exc()
        watch.fail(BUG, f"{type(error).__name__}: {error}".splitlines()[0])
    watch.finish()


class _Watch:
    """Leaves and looks for notes."""

    def __init__(self):
        client = jax_distributed.global_state.client
        if client is None:
            raise RuntimeError("several processes without jax.distributed.initialize")
        self._client = client
        self._index, self._count = jax.process_index(), jax.process_count()
        self._finished = threading.Event()
        self._told = threading.Event()
        # Taken by the thread that ends this process, and never released.
        self._leaving = threading.Lock()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()

    def wait_for_note(self) -> None:
        """Returns if no other process seems to have failed before."""
        if self._told.wait(_ECHO):
            threading.Event().wait()

    def fail(self, code: int, message: str) -> NoReturn:
        """Tells all processes, then ends this one."""
        own = {"process": self._index, "code": code, "message": message}
        # Only the first note is kept; without process 0 none can be told.
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._client.key_value_set(_NOTE, json.dumps(own))
        self._leave(self._read() or own, own)

    def finish(self) -> None:
        """Waits until all processes succeeded."""
        self._client.wait_at_barrier(_FINISHED, _A_DAY * 1000)
        self._finished.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._finished.wait(_INTERVAL):
            note = self._read()
            if note:
                self._told.set()
                time.sleep(_GRACE)
                self._leave(note)

    def _read(self) -> dict[str, Any] | None:
        try:
            return json.loads(self._client.key_value_try_get(_NOTE))
        except jax.errors.JaxRuntimeError:
            return None

    def _leave(self, note: dict, own: dict | None = None) -> NoReturn:
        """Ends this process, with the exit code of the one that failed first."""
        self._leaving.acquire()
        if own and own["message"] == note["message"]:
            note = own
        if self._index in (0, note["process"]):
            elsewhere = note["process"] != self._index
            prefix = f"process {note['process']}: " if elsewhere else ""
            if note["code"] == INPUT_ERROR or elsewhere:
                sys.stderr.write(f"error: {prefix}{note['message']}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        for worker in multiprocessing.active_children():
            worker.terminate()
        self._say_good_bye()
        # Not `sys.exit`, which would wait for the others.
        os._exit(note["code"])

    def _say_good_bye(self) -> None:
        """Keeps the coordinator, which lives in process 0, while others need it."""
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            if self._index:
                self._client.key_value_set(f"{_GONE}/{self._index}", "")
                return
            deadline = time.monotonic() + _PATIENCE
            for other in range(1, self._count):
                left = max(1, int(1000 * (deadline - time.monotonic())))
                self._client.blocking_key_value_get(f"{_GONE}/{other}", left)
