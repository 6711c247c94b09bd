"""Prepared data sets in a bucket: copied once per host, and read from there.

Records are read in random order, a few kilobytes at a time, which a bucket answers
slowly and charges for. `CACHE/gs/BUCKET/FOLDER/NAME/VERSION` has the files of
`gs://BUCKET/FOLDER/NAME/VERSION`, once every one of them has the size and the checksum
that the bucket states.
"""

import base64
import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from hrnet_jax.data.info import METADATA_FILE
from hrnet_jax.errors import OF_THE_DISK, DataError
from hrnet_jax.storage import paths
from hrnet_jax.whole_files import write_whole

if TYPE_CHECKING:
    import fsspec

try:
    import fcntl
except ImportError:  # another system
    fcntl = None  # type: ignore[assignment]

DEFAULT_CACHE = "~/.cache/hrnet_jax/data"

# Beside a copied version: what the bucket stated of its files, relative path -> facts.
_RECORD = "{}.copied.json"
# Files copied at the same time, and how often one that arrives damaged.
_THREADS, _ATTEMPTS = 8, 3
_CHUNK = 2**20

_log = logging.getLogger(__name__)


def local_copy(
    directory: Path, data_dir: str | os.PathLike, cache_dir: str | os.PathLike = ""
) -> Path:
    """Copies a prepared data set to this host, unless that is done already.

    Several processes may call this at the same time; one copies and the others wait.
    Files that arrived before a copy was cut off are not copied again.

    Args:
        directory: of a version, `data_dir/NAME/VERSION`, in a bucket.
        data_dir: folder of all prepared data sets, in a bucket.
        cache_dir: folder for copies; empty for `DEFAULT_CACHE`.

    Returns:
        The local folder that stands for `data_dir`.

    Raises:
        DataError: if a file arrives damaged, or the cache cannot be written.
        StorageError: if the bucket refuses, or does not answer.
    """
    return _local_copy(
        os.fspath(directory), os.fspath(data_dir), os.fspath(cache_dir or DEFAULT_CACHE)
    )


@functools.cache  # a run opens its splits many times
def _local_copy(directory: str, data_dir: str, cache_dir: str) -> Path:
    scheme, _, place = data_dir.partition("://")
    root = Path(cache_dir).expanduser() / scheme / place.strip("/")
    name, version = directory.rstrip("/").split("/")[-2:]
    target = root / name / version
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            files = _stated(directory)
            if not _is_complete(target, files):
                _copy(directory, target, files)
    except OSError as error:
        if error.errno not in OF_THE_DISK and not isinstance(error, PermissionError):
            raise
        raise DataError(
            f"{root}: cannot be written ({error.strerror}); make room there, or name "
            "another folder: --config.dataset.cache_dir=FOLDER"
        ) from error
    return root


def upload_prepared(local: Path, target: Path) -> None:
    """Copies a prepared version into a bucket, in place of what is there.

    Args:
        local: `NAME/VERSION` on this host.
        target: `data_dir/NAME/VERSION` in a bucket.

    Raises:
        StorageError: if it cannot be written.
    """
    # Without it nothing passes for a data set; it goes first and comes last.
    (target / METADATA_FILE).unlink(missing_ok=True)
    paths.remove_tree(target)
    paths.upload_tree(local, target, last=(METADATA_FILE,))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes of this host out; waits for one that is at work."""
    if fcntl is None:
        yield
        return
    with (folder / ".copying.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("%s: waiting for another process that copies there", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stated(directory: str) -> dict[str, dict[str, Any]]:
    """Size and checksum of the files of a version, by relative path."""
    system = paths.file_system(directory)
    start = directory.partition("://")[2].rstrip("/") + "/"
    found = {}
    for path, info in system.find(directory, detail=True).items():
        name = path.removeprefix(start)
        if not name.endswith("/"):  # which stands for an empty folder
            known = [key for key in ("md5Hash", "crc32c") if info.get(key)]
            found[name] = {"size": info["size"]} | {key: info[key] for key in known}
    return found


def _is_complete(target: Path, files: dict[str, dict[str, Any]]) -> bool:
    """Whether a copy is there, of files that the bucket still states the same of."""
    try:
        record = json.loads(_record_of(target).read_bytes())
    except (OSError, ValueError):
        return False
    return record == files and all(
        (target / name).is_file() and (target / name).stat().st_size == facts["size"]
        for name, facts in files.items()
    )


def _record_of(target: Path) -> Path:
    return target.with_name(_RECORD.format(target.name))


def _copy(directory: str, target: Path, files: dict[str, dict[str, Any]]) -> None:
    """Copies what is not there yet, and puts the whole in place."""
    draft = target.with_name(f".{target.name}.copying")
    if target.is_dir() and not draft.exists():
        # What changed in the bucket, or lost its record: most files may still be right.
        target.rename(draft)
    draft.mkdir(exist_ok=True)
    total = sum(facts["size"] for facts in files.values())
    _log.info(
        "copying %d files, %.1f MB, from %s to %s",
        len(files),
        total / 1e6,
        directory,
        target,
    )
    bar = tqdm(total=total, desc="copy data", unit="B", unit_scale=True, disable=None)
    with bar, ThreadPoolExecutor(_THREADS) as pool:
        system = paths.file_system(directory)
        jobs = [
            pool.submit(_copy_file, system, directory, draft, name, facts, bar)
            for name, facts in files.items()
        ]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for old in target.parent.iterdir():
        if old.is_dir() and old != draft:  # another version, or one that changed
            shutil.rmtree(old)
    draft.rename(target)
    write_whole(_record_of(target), json.dumps(files, indent=1) + "\n")


def _copy_file(
    system: "fsspec.AbstractFileSystem",
    directory: str,
    draft: Path,
    name: str,
    facts: dict[str, Any],
    bar: tqdm,
) -> None:
    """Copies one file, again where it arrives damaged.

    Raises:
        DataError: if it always does.
    """
    path = draft / name
    if path.is_file() and _is_right(path, facts):
        bar.update(facts["size"])
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    for _ in range(_ATTEMPTS):
        system.get_file(f"{directory}/{name}", os.fspath(part))
        if _is_right(part, facts):
            os.replace(part, path)
            bar.update(facts["size"])
            return
    raise DataError(
        f"{directory}/{name}: arrives with another size or checksum than the bucket "
        f"states, {_ATTEMPTS} times; upload it again"
    )


def _is_right(path: Path, facts: dict[str, Any]) -> bool:
    """Whether a file has the size and the checksum that were stated of it."""
    if path.stat().st_size != facts["size"]:
        return False
    if "md5Hash" in facts:
        return _digest(path, hashlib.md5(usedforsecurity=False)) == facts["md5Hash"]
    if "crc32c" in facts:  # of objects composed of others, which have no MD5
        import google_crc32c

        return _digest(path, google_crc32c.Checksum()) == facts["crc32c"]
    return True


def _digest(path: Path, checksum: Any) -> str:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()
