"""One training at a time in a work directory that is in a bucket.

A bucket knows no locks that end with a process. The training there writes the object
`training.lock` anew every few seconds instead; where it does not change for a while,
whoever wrote it is gone.
"""

import contextlib
import json
import logging
import pathlib
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

from hrnet_jax.errors import CheckpointError, StorageError
from hrnet_jax.storage.paths import write_object

# Seconds between two writes, and without one after which the writer counts as gone.
BEAT, GONE = 20.0, 60.0
# Seconds in which two that begin at the same moment see each other.
_MEETING = 1.0

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def leased(path: pathlib.Path, holder: dict[str, Any]) -> Iterator[None]:
    """Holds the object `path` within this context.

    Args:
        path: of the object.
        holder: what it says of this process.

    Raises:
        CheckpointError: if another process holds it.
        StorageError: if it cannot be written.
    """
    own = holder | {"token": secrets.token_hex(8)}
    _write(path, own, 0)
    time.sleep(_MEETING)
    if read_lease(path).get("token") != own["token"]:
        raise CheckpointError(
            f"{path.parent}: another training began there at this moment; wait for its "
            "end, or choose another work directory"
        )
    ended = threading.Event()
    thread = threading.Thread(
        target=_renew, args=(path, own, ended), name="lease", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError):
            if read_lease(path).get("token") == own["token"]:
                path.unlink(missing_ok=True)


def read_lease(path: pathlib.Path) -> dict[str, Any]:
    """What the object says; empty where there is none.

    Raises:
        StorageError: if storage does not answer.
    """
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        if isinstance(error, StorageError):
            raise
        return {}
    return content if isinstance(content, dict) else {}


def is_renewed(path: pathlib.Path, found: dict[str, Any]) -> bool:
    """Whether somebody writes the object anew; waits until that is certain."""
    _log.info(
        "%s: looking for up to %.0f s whether the training of process %s on %s is "
        "still at work",
        path,
        GONE,
        found.get("process"),
        found.get("host"),
    )
    deadline = time.monotonic() + GONE
    while time.monotonic() < deadline:
        time.sleep(BEAT / 8)
        if read_lease(path) != found:
            return bool(read_lease(path))
    return False


def _renew(path: pathlib.Path, own: dict[str, Any], ended: threading.Event) -> None:
    beat = 0
    while not ended.wait(BEAT):
        beat += 1
        # What storage refuses, the next checkpoint says.
        with contextlib.suppress(OSError):
            found = read_lease(path)
            if found and found.get("token") != own["token"]:
                _log.warning(
                    "%s: process %s on %s began a training there as well; end one",
                    path.parent,
                    found.get("process"),
                    found.get("host"),
                )
                return
            _write(path, own, beat)


def _write(path: pathlib.Path, own: dict[str, Any], beat: int) -> None:
    write_object(path, (json.dumps(own | {"beat": beat}) + "\n").encode())
