"""One training at a time in a work directory that is in a bucket.

A bucket knows no locks that end with a process. The training there writes the object
`training.lock` anew every few seconds instead; where it does not change for a while,
whoever wrote it is gone.

What many ask for, again and again, and what two must never have, are turns (`Turn`):
objects with numbers, of which storage lets one process make the next.
"""

import contextlib
import json
import logging
import pathlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from hrnet_jax.errors import CheckpointError, StorageError
from hrnet_jax.storage.numbered import Numbered
from hrnet_jax.storage.paths import write_object

# Seconds between two writes, and without one after which the writer counts as gone.
BEAT, GONE = 20.0, 60.0
# Seconds in which two that begin at the same moment see each other.
_MEETING = 1.0

# Tokens of what this process holds.
_held: set[str] = set()

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

    def renew(beat: int) -> bool:
        found = read_lease(path)
        if found and found.get("token") != own["token"]:
            _log.warning(
                "%s: process %s on %s began a training there as well; end one",
                path.parent,
                found.get("process"),
                found.get("host"),
            )
            return False
        _write(path, own, beat)
        return True

    _held.add(own["token"])
    try:
        with _renewing(renew):
            yield
    finally:
        _held.discard(own["token"])
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


# What this process saw of turns of others, when first and when last.
_seen: dict[str, tuple[dict[str, Any], float, float]] = {}


class Turn:
    """What one process at a time has, by the last of the numbered objects of a folder.

    Who makes the next number has it, if the last one says that it is over or its writer
    is gone, and until it is over itself. Numbers only grow, and nobody writes another's
    object, so one that comes back late finds that there is a higher one, and harms
    nothing.

    Args:
        folder: of the objects.
        holder: what they say of this process.
    """

    def __init__(self, folder: pathlib.Path, holder: dict[str, Any]):
        self._numbered = Numbered(folder)
        self._own = holder | {"token": secrets.token_hex(8)}
        self._number = -1

    def last(self) -> dict[str, Any]:
        """Who has it, if that is not over; what may be gone, see `is_gone`.

        Raises:
            StorageError: if storage does not answer.
        """
        numbers = self._numbered.numbers()
        self._number = numbers[-1] if numbers else -1
        if not numbers:
            return {}
        found = read_lease(self._numbered.path(self._number))
        return {} if found.get("over") else found

    def is_gone(self, found: dict[str, Any]) -> bool:
        """Whether what `last` said is the same for a while; does not wait for that.

        It has to be looked at all the while: had storage not answered for a time,
        nobody could have written.
        """
        key, now = str(self._numbered.folder), time.monotonic()
        seen, since, looked = _seen.get(key, ({}, now, now))
        if seen != found or now - looked > GONE / 2:
            since = now
        _seen[key] = (found, since, now)
        return now - since >= GONE

    def begin(self) -> bool:
        """Makes the number after the one that `last` saw, if nobody did meanwhile.

        Raises:
            ConfigError: for a bucket that cannot do so, see `paths.create_object`.
            StorageError: if it cannot be written.
        """
        self._number += 1
        content = json.dumps(self._own | {"beat": 0}).encode()
        # First, so that no other thread takes this process for one that is gone.
        _held.add(self._own["token"])
        if self._numbered.create(self._number, content):
            if self.is_mine():
                return True
            # It had been made, and cleared away as too low, since the look.
            self._numbered.path(self._number).unlink(missing_ok=True)
        _held.discard(self._own["token"])
        return False

    def is_mine(self) -> bool:
        """Whether nobody took this process for gone; one listing."""
        return self._numbered.numbers()[-1:] == [self._number]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within this context, after `begin`, others see that the writer is there."""
        path = self._numbered.path(self._number)

        def renew(beat: int) -> bool:
            if not self.is_mine():
                _log.warning("%s: another process took it over", path.parent)
                return False
            _write(path, self._own, beat)
            return True

        try:
            with contextlib.suppress(OSError):
                for number in self._numbered.numbers():
                    if number < self._number:
                        self._numbered.path(number).unlink(missing_ok=True)
            with _renewing(renew):
                yield
        finally:
            _held.discard(self._own["token"])
            with contextlib.suppress(OSError):
                _write(path, self._own | {"over": True}, 0)


def is_held_here(found: dict[str, Any]) -> bool:
    """Whether this very process holds the object that says this."""
    return found.get("token") in _held


@contextlib.contextmanager
def _renewing(renew: Callable[[int], bool]) -> Iterator[None]:
    """Within this context a thread calls `renew` with 1, 2, ... until it says no."""
    ended = threading.Event()

    def beat() -> None:
        number, goes_on = 0, True
        while goes_on and not ended.wait(BEAT):
            number += 1
            # What storage refuses, the next checkpoint says.
            with contextlib.suppress(OSError):
                goes_on = renew(number)

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _write(path: pathlib.Path, own: dict[str, Any], beat: int) -> None:
    write_object(path, (json.dumps(own | {"beat": beat}) + "\n").encode())
