"""One training at a time in a work directory."""

import contextlib
import datetime
import errno
import json
import logging
import os
import pathlib
import socket
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TextIO

from hrnet_jax.errors import CheckpointError
from hrnet_jax.storage.paths import is_remote
from hrnet_jax.workdir.lease import Turn, is_held_here, is_renewed, leased, read_lease

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # another system
    fcntl = None

LOCK_FILE = "training.lock"

_log = logging.getLogger(__name__)


class LockedError(CheckpointError):
    """Another process is at work in a folder."""


@contextlib.contextmanager
def locked(workdir: pathlib.Path, name: str = LOCK_FILE) -> Iterator[None]:
    """Keeps other trainings out of a work directory, which is made if missing.

    The system holds the lock and releases it with the process, however that ends; on
    network file systems, between hosts as well. The text of the file only says who
    holds it. Where a file system knows no locks the text has to do: it keeps others
    out as long as a process of that number runs on this host. What runs on another
    host cannot be known there, which is logged. In a bucket it is a lease (`lease`).

    Args:
        workdir: the folder.
        name: of the file in it; who asks for another one is not kept out.

    Raises:
        LockedError: naming who holds it.
        CheckpointError: if the folder cannot be written.
    """
    path = workdir / name
    if is_remote(workdir):
        holder = read_lease(path)
        if holder and not _ended_here(holder) and is_renewed(path, holder):
            raise LockedError(_taken(workdir, holder))
        with leased(path, _this_process()):
            yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror}); expected a work directory "
            "that this process may write to"
        ) from error
    with file:
        file.seek(0)
        holder = _read(file)
        if not _acquire(file, holder):
            raise LockedError(_taken(workdir, holder))
        _write(file, _this_process())
        try:
            yield
        finally:
            # Not deleted: another training may have opened it already.
            _write(file, {})


@contextlib.contextmanager
def taking_turns(workdir: pathlib.Path, name: str) -> Iterator[Callable[[], bool]]:
    """As `locked`, for what several ask for again and again; never waits.

    In a bucket these are turns (`lease.Turn`), of which no two have one at a time.

    Args:
        workdir: the folder.
        name: of the file in it; in a bucket of a folder.

    Yields:
        What says whether it is still this process's: in a bucket another one takes it
        over from a process that does not renew it for a while.

    Raises:
        LockedError: naming who holds it, or held it a moment ago.
        CheckpointError: if the folder cannot be written.
        ConfigError: for a bucket in which this is not to be had.
    """
    if not is_remote(workdir):
        with locked(workdir, name):
            yield lambda: True
        return
    turn = Turn(workdir / name, _this_process())
    if holder := _holder_of(turn):
        raise LockedError(_taken(workdir, holder))
    if not turn.begin():
        raise LockedError(_taken(workdir, turn.last()))
    with turn.held():
        yield turn.is_mine


def may_be_free(workdir: pathlib.Path, name: str) -> bool:
    """Whether `taking_turns` may succeed: on a disk always, where that is known by trying."""
    return not is_remote(workdir) or not _holder_of(Turn(workdir / name, {}))


def _holder_of(turn: Turn) -> dict[str, Any]:
    """Who has a turn and may be at work; empty if nobody is known to be."""
    holder = turn.last()
    if holder and _is_there(holder) and not turn.is_gone(holder):
        return holder
    return {}


def _is_there(holder: dict[str, Any]) -> bool:
    """Whether the holder of a turn may be at work, as far as this host knows."""
    return is_held_here(holder) or not _ended_here(holder)


def _taken(workdir: pathlib.Path, holder: dict[str, Any]) -> str:
    return (
        f"{workdir}: another training is at work there ({_named(holder)}); "
        "wait for its end, or choose another work directory"
    )


def _ended_here(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this host that does not run any more."""
    return holder.get("host") == socket.gethostname() and not _runs_here(holder)


def is_locked(path: pathlib.Path) -> bool:
    """Whether a process holds the lock of a file, as far as that can be known here.

    Where the file names a holder, looking takes the lock for a moment, if it can be had.
    """
    if is_remote(path):
        holder = read_lease(path) or Turn(path, {}).last()
        return bool(holder) and _is_there(holder)
    try:
        with path.open("r+") as file:
            holder = _read(file)
            if len(holder) < len(_this_process()):
                return False
            if fcntl is None:
                return _runs_here(holder)
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError as error:
                return error.errno == errno.EACCES or _runs_here(holder)
            return False
    except OSError:  # not there, or not ours to open
        return False


def _acquire(file: TextIO, holder: dict[str, Any]) -> bool:
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "no fcntl")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == errno.EACCES:  # said by some network file systems
            return False
        _log.warning(
            "%s: no locks on this file system (%s); see to it that no other training "
            "uses this folder",
            file.name,
            error.strerror,
        )
        return not _runs_here(holder)
    return True


def _runs_here(holder: dict[str, Any]) -> bool:
    """Whether a process of the holder's number runs on this host, and is not this."""
    if holder.get("host") != socket.gethostname() or holder["process"] == os.getpid():
        return False
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _this_process() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
    }


def _read(file: TextIO) -> dict[str, Any]:
    """Who wrote the file; empty where no process did, or is about to."""
    with contextlib.suppress(ValueError, TypeError):
        found = json.loads(file.read())
        return {key: found[key] for key in _this_process() if key in found}
    return {}


def _write(file: TextIO, content: dict[str, Any]) -> None:
    # A full disk keeps no training out, whose own saves will tell.
    with contextlib.suppress(OSError):
        file.seek(0)
        file.truncate()
        file.write(json.dumps(content) + "\n" if content else "")
        file.flush()


def _named(holder: dict[str, Any]) -> str:
    if len(holder) < len(_this_process()):
        return "which did not leave its name yet"
    return "process {process} on {host}, since {since}".format(**holder)
