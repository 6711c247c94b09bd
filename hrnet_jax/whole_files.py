"""Files and folders that are whole or not there, whatever ends the process.

What is being written has another name until it is complete: `.NAME.RANDOM.unfinished`
in the folder of its target. Its writer holds a lock of the system on it, which ends with
the process, so whoever writes into that folder next can tell what a killed process
left from what another one is writing, and removes the former.

In a bucket an object appears whole when it was written, so it is written once its
content is complete, and nothing is left of a process that was killed before.
"""

import contextlib
import csv
import functools
import io
import logging
import os
import pathlib
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from hrnet_jax.storage import paths

try:
    import fcntl
except ImportError:  # another system
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{8}\.unfinished")
# Of the name of the target, so that the longer name is allowed where that is.
_LETTERS = 40
# To delete a folder: looks at most, those without it in a row, seconds between them.
_LOOKS, _ABSENT, _PAUSE = 30, 4, 0.1


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A file to write bytes to, which replaces `path` when the context ends well.

    What is not a file, such as `/dev/stdout`, is written to as it is.

    Raises:
        OSError: naming `path`, if it cannot be written. What was there is untouched.
    """
    if paths.is_remote(path):
        content = io.BytesIO()
        yield content
        paths.write_object(path, content.getvalue())
        return
    # A link stays, and what it points to is replaced.
    target = pathlib.Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    with _naming(target, path):
        remove_leftovers(target.parent)
        draft, descriptor = _open_draft(target)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(draft, stat.S_IMODE(target.stat().st_mode))
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                # Before the lock goes with the file, or it would pass for a leftover.
                os.replace(draft, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise


def write_whole(path: str | os.PathLike, content: bytes | memoryview | str) -> None:
    """Replaces a file, see `whole_file`; text as UTF-8.

    Raises:
        OSError: naming `path`, if it cannot be written.
    """
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_csv(path: str | os.PathLike, rows: Iterable[Sequence[str]]) -> None:
    """Replaces a file by a table with commas; see `write_whole`."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_whole(path, text.getvalue())


@contextlib.contextmanager
def unfinished_folder(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A new folder beside `target`, to fill and to move to its place, or parts of it.

    What is left of it when the context ends is deleted. The folder of the target is
    made if missing. For a target in a bucket the folder is a local one, and
    `put_in_place` copies.

    Raises:
        OSError: if it cannot be made there.
    """
    if paths.is_remote(target):
        with tempfile.TemporaryDirectory(prefix="hrnet-jax-") as temporary:
            yield pathlib.Path(temporary)
        return
    target = pathlib.Path(target).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _naming(target, target):
        remove_leftovers(target.parent)
        folder, descriptor = _make_folder(target)
    try:
        yield folder
    except BaseException:
        _delete_for_good(folder)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def put_in_place(draft: pathlib.Path, target: str | os.PathLike) -> None:
    """Moves a whole file to its place, or copies it into a bucket.

    Raises:
        OSError: if it cannot be put there.
    """
    if paths.is_remote(target):
        paths.upload(draft, paths.as_path(target))
    else:
        os.replace(draft, target)


def _delete_for_good(folder: pathlib.Path) -> None:
    """Deletes a folder to which libraries may still write, after one failure of many.

    They make it anew where it is gone, so it has to be gone at several looks.
    """
    absent = 0
    for _ in range(_LOOKS):
        absent = 0 if folder.exists() else absent + 1
        if absent == _ABSENT:
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_PAUSE)


@functools.cache
def remove_leftovers(folder: pathlib.Path) -> None:
    """Removes what killed processes left unfinished in a folder, and says so.

    Once in a process and folder: another process may write to it at any time, but
    a folder of many files should not be searched for each of them.
    """
    if fcntl is None or paths.is_remote(folder) or not folder.is_dir():
        return
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name) and _remove_if_abandoned(path):
            _log.info("%s: removed, a process that was killed left it", path)


def _remove_if_abandoned(path: pathlib.Path) -> bool:
    # Also where the file system knows no locks and nothing can tell.
    with contextlib.suppress(OSError):
        # Network file systems lock for writing only what is open for writing.
        access = os.O_RDONLY if path.is_dir() else os.O_RDWR
        descriptor = os.open(path, access)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            return True
        finally:
            os.close(descriptor)
    return False


def _open_draft(target: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Makes a file with a name of its own beside the target, and locks it."""
    while True:
        draft = _draft_name(target)
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _is_held(draft, descriptor):
            return draft, descriptor


def _make_folder(target: pathlib.Path) -> tuple[pathlib.Path, int]:
    while True:
        folder = _draft_name(target)
        folder.mkdir()
        descriptor = os.open(folder, os.O_RDONLY)
        if _is_held(folder, descriptor):
            return folder, descriptor


def _draft_name(target: pathlib.Path) -> pathlib.Path:
    name = f".{target.name[:_LETTERS]}.{secrets.token_hex(4)}.unfinished"
    return target.with_name(name)


def _is_held(path: pathlib.Path, descriptor: int) -> bool:
    """Locks a draft; False if another process removed it before that, as a leftover."""
    if fcntl is None:
        return True
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if path.exists():
        return True
    os.close(descriptor)
    return False


@contextlib.contextmanager
def _naming(target: pathlib.Path, path: str | os.PathLike) -> Iterator[None]:
    """Errors name the target instead of the draft, or nothing as those of a full disk."""
    try:
        yield
    except OSError as error:
        named = error.filename
        is_draft = isinstance(named, str | os.PathLike) and (
            _UNFINISHED.fullmatch(pathlib.Path(named).name)
            and pathlib.Path(named).parent == target.parent
        )
        if error.errno is None or not (named is None or is_draft):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
