"""Names that results are to have, refused before the work rather than after it."""

import errno
import os
import pathlib
import tempfile
from collections.abc import Sequence

from hrnet_jax.errors import ConfigError, HRNetError, reason_of
from hrnet_jax.storage import paths


def check_file(
    path: str | os.PathLike,
    *,
    what: str = "the name of a file",
    suffixes: Sequence[str] = (),
    overwrite: bool = True,
    error: type[HRNetError] = ConfigError,
) -> pathlib.Path:
    """Refuses what no file can be written to.

    What stands in the way later, such as a disk that fills up, is found later.

    Args:
        path: of the file; folders that are missing will be made. A device, such as
            `/dev/stdout`, is taken as it is.
        what: what is expected, for messages.
        suffixes: one of these ends its name, in any case; any if empty.
        overwrite: whether a file that is there will be replaced.
        error: of the package, for what is refused.

    Returns:
        The path.

    Raises:
        HRNetError: of the kind `error`, or a `StorageError` for a bucket that is not
            there or not to be read.
    """
    target = paths.as_path(path)
    if target.is_dir():
        raise error(f"{target} is a folder; expected {what}")
    if suffixes and target.suffix.lower() not in suffixes:
        raise error(f"{target}: expected {what}, which ends in {_or(suffixes)}")
    if not overwrite and target.exists():
        raise error(f"{target} exists already; choose another name, or --overwrite")
    if paths.is_remote(target):
        return target
    # What a link points to is replaced, in its folder.
    real = pathlib.Path(os.path.realpath(target))
    if real.is_file() or not real.exists():
        _check_place(real.parent, target, error)
    return target


def check_folder(
    path: str | os.PathLike,
    *,
    what: str = "a folder",
    error: type[HRNetError] = ConfigError,
) -> pathlib.Path:
    """Refuses what no files can be written into; a missing folder will be made.

    Args:
        path: of the folder.
        what: what is expected, for messages.
        error: as for `check_file`.

    Returns:
        The path.

    Raises:
        HRNetError: as for `check_file`.
    """
    target = paths.as_path(path)
    if target.exists() and not target.is_dir():
        raise error(f"{target} is a file; expected {what}")
    if not paths.is_remote(target):
        _check_place(target.absolute(), target, error)
    return target


def _check_place(
    folder: pathlib.Path, target: pathlib.Path, error: type[HRNetError]
) -> None:
    """Refuses a folder of this machine that cannot be made, or not written into."""
    there = folder
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise error(f"{there} is a file; expected a folder for {target.name}")
    try:
        # Permissions alone tell neither a read-only disk nor what a server allows.
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as cause:
        # A full disk may have room when the work is done.
        if cause.errno not in (errno.ENOSPC, errno.EDQUOT):
            reason = reason_of(cause)
            where = "" if there == target else f", in {there}"
            raise error(f"{target}: cannot be written ({reason}{where})") from cause


def _or(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
