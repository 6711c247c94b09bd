"""Paths that a user may put in a bucket: `gs://bucket/folder`, or a local folder."""

import concurrent.futures
import contextlib
import inspect
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hrnet_jax.errors import ConfigError, HRNetError, StorageError

if TYPE_CHECKING:
    import fsspec

_T = TypeVar("_T")

# Paths in a bucket that are asked about at the same time.
_AT_ONCE = 16

# What epath knows; `gs` is tested, the others work as far as their fsspec package does.
SCHEMES = ("gs", "s3", "az")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# A slash too few would begin a local folder called `gs:`.
_MISTYPED = re.compile(rf"({'|'.join(SCHEMES)}):/?(?!/)(.*)")


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is in a bucket, rather than on a disk."""
    return _SCHEME.match(os.fspath(path)) is not None


def as_path(path: str | os.PathLike) -> pathlib.Path:
    """A path of what a user typed.

    A local one is a `pathlib.Path`, relative if it was typed so. One in a bucket is an
    `etils.epath.Path`, which has the methods of a `pathlib.Path` and is typed as one.

    Raises:
        ConfigError: for a scheme that is not known or not whole, or no name of a
            bucket.
        ModuleNotFoundError: for gs:// without the extra [gcs].
    """
    text = os.fspath(path)
    found = _SCHEME.match(text)
    if found is None:
        if mistyped := _MISTYPED.fullmatch(text):
            raise ConfigError(f"{text}: expected {mistyped[1]}://{mistyped[2]}")
        return pathlib.Path(path)
    scheme = found[1]
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise ConfigError(
            f"{text}: unknown scheme {scheme}://; expected a local path, or one that "
            f"begins with {known}"
        )
    if not text[found.end() :].strip("/"):
        raise ConfigError(f"{text}: no bucket named; expected {scheme}://BUCKET/FOLDER")
    if scheme == "gs":
        # First, as it brings what else is imported there.
        import gcsfs  # noqa: F401

        from hrnet_jax.storage import google

        google.take_over()
    from etils import epath

    return cast(pathlib.Path, epath.Path(text))


def absolute(path: str | os.PathLike) -> pathlib.Path:
    """A path that does not depend on the working directory."""
    found = as_path(path)
    return found if is_remote(found) else found.absolute()


def name_of(path: str | os.PathLike) -> str:
    """The last part of a path, wherever it is."""
    return pathlib.PurePosixPath(os.fspath(path)).name


def for_each(
    ask: Callable[[pathlib.Path], _T], places: Sequence[pathlib.Path]
) -> list[_T]:
    """What is found out of each path; in a bucket of several at a time, as it is slow."""
    if not any(map(is_remote, places)):
        return [ask(place) for place in places]
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        return [*pool.map(ask, places)]


def remove_tree(path: pathlib.Path) -> None:
    """Removes a folder with what is in it, if it is there."""
    if is_remote(path):
        cast(Any, path).rmtree(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def file_system(path: str | os.PathLike) -> "fsspec.AbstractFileSystem":
    """The file system of fsspec that a path in a bucket belongs to."""
    import fsspec

    text = os.fspath(as_path(path))
    return fsspec.filesystem(text.partition("://")[0])


def write_object(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file in a bucket, where it appears whole or not at all.

    Raises:
        StorageError: if it cannot be written.
    """
    file_system(path).pipe_file(os.fspath(path), content)


def create_object(path: str | os.PathLike, content: bytes) -> bool:
    """Writes a file in a bucket unless it is there; of several at once one succeeds.

    Args:
        path: of the file.
        content: that nobody else writes there: an answer that was lost is told by it
            from another writer's success.

    Returns:
        Whether the file is this one.

    Raises:
        ConfigError: if what reads and writes such buckets here cannot do so.
        StorageError: if it cannot be written.
    """
    system = file_system(path)
    # Where `mode` is not a parameter it would be ignored, and the file replaced.
    own = getattr(system, "_pipe_file", None)
    if own is None or "mode" not in inspect.signature(own).parameters:
        scheme = os.fspath(path).partition("://")[0]
        raise ConfigError(
            f"{os.fspath(path)}: {type(system).__name__}, which writes to {scheme}://, "
            "cannot make an object only where there is none, by which processes agree; "
            "expected gs://, or a folder of a file system"
        )
    try:
        system.pipe_file(os.fspath(path), content, mode="create")
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            return system.cat_file(os.fspath(path)) == content
        return False
    return True


def upload(local: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file into a bucket, where it appears whole.

    Raises:
        StorageError: if it cannot be written.
    """
    file_system(target).put_file(os.fspath(local), os.fspath(target))


def upload_tree(
    local: pathlib.Path, target: pathlib.Path, last: Sequence[str] = ()
) -> None:
    """Copies the files of a folder into a bucket.

    Args:
        local: folder.
        target: folder in a bucket.
        last: names of files that say that others are complete; they follow, in this
            order.

    Raises:
        StorageError: if they cannot be written.
    """
    files = [path for path in sorted(local.rglob("*")) if path.is_file()]
    order = {name: number for number, name in enumerate(last, 1)}
    for path in sorted(files, key=lambda path: order.get(path.name, 0)):
        upload(path, target.joinpath(*path.relative_to(local).parts))


@contextlib.contextmanager
def local_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A local copy of a file in a bucket, within this context; a local file itself.

    An error of the package that names the copy comes out naming the file.

    Raises:
        StorageError: if it cannot be read.
    """
    if not is_remote(path):
        yield pathlib.Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="hrnet-jax-") as folder:
        copy = pathlib.Path(folder) / name_of(path)
        # Of what is not there, whoever opens it says so.
        with contextlib.suppress(FileNotFoundError):
            file_system(path).get_file(os.fspath(path), os.fspath(copy))
        try:
            yield copy
        except StorageError:
            raise
        except HRNetError as error:
            # What is wrong with it is wrong there.
            told = str(error).replace(os.fspath(copy), os.fspath(path))
            raise type(error)(told) from error
