"""Ctrl-C: the end of a script in one line, or a request to stop soon.

Imports little: what a script imports before this has to be awaited.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# Of a script that Ctrl-C ended: 128 + SIGINT, as shells report it.
EXIT_CODE = 130


class _Presses:
    """How often Ctrl-C came, and how many of these only ask to stop."""

    def __init__(self):
        self.allowed = 0
        self.count = 0

    def end_script_at_last(self, pipe: int) -> None:
        """Waits for signals; ends the process at the first that is not allowed."""
        while number := os.read(pipe, 1):
            if number[0] != signal.SIGINT:
                continue
            self.count += 1
            if self.count > self.allowed:
                _end_process()


_presses = _Presses()


def ends_this_script() -> None:
    """From now on Ctrl-C ends this process at once: one line, exit code 130.

    Also within a compilation, where Python's own handler would have to wait: a thread
    hears of the signal first. Does nothing where Ctrl-C is ignored already, as of a
    process that a shell started in the background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # Python only writes to the pipe for signals that have a handler.
    signal.signal(signal.SIGINT, lambda *_: None)
    threading.Thread(
        target=_presses.end_script_at_last, args=(reading,), name="Ctrl-C", daemon=True
    ).start()


def is_handled_by(handler: Callable[[int, FrameType | None], None]) -> None:
    """From now on Ctrl-C calls a handler, whatever it did before."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, handler)


def _end_process() -> None:
    sys.stderr.write("interrupted by Ctrl-C\n")
    sys.stderr.flush()
    # Not imported here, and perhaps just being imported: then nobody has workers.
    multiprocessing = sys.modules.get("multiprocessing")
    for worker in getattr(multiprocessing, "active_children", list)():
        worker.terminate()
    # Not `sys.exit`, which would end this thread alone.
    os._exit(EXIT_CODE)


@contextlib.contextmanager
def first_one_asks(ask: Callable[[], None]) -> Iterator[None]:
    """Within this context the first Ctrl-C calls `ask`, the second acts as outside.

    Outside, it raises `KeyboardInterrupt`, or ends a script. Handlers belong to the
    main thread; in another one nothing changes, nor where Ctrl-C is ignored.
    """
    previous = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or previous in (signal.SIG_IGN, None):
        yield
        return

    def first(*_) -> None:
        signal.signal(signal.SIGINT, previous)
        ask()

    # One more than those that asked something else to stop, before this.
    _presses.allowed = _presses.count + 1
    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        _presses.allowed = 0
