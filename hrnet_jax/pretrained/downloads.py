"""Files by https address: fetched once, whole, checked and kept.

A file is kept under the path of its address, so one that was fetched by hand and put
there is taken. What has arrived of it is `.NAME.part` beside it, which one process at a
time holds; it stays only where the server can go on from its end.
"""

import contextlib
import http.client
import logging
import os
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any, BinaryIO

from hrnet_jax.errors import OF_THE_DISK, WeightsError, reason_of
from hrnet_jax.pretrained.web_files import WebFile, is_loopback, parse
from hrnet_jax.pretrained.weights_cache import (
    OFFLINE_VARIABLE,
    VARIABLE,
    check_checksum,
    check_content,
    checksum,
    is_offline,
)

try:
    import fcntl
except ImportError:  # another system
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_SILENCE = 30.0  # seconds without a byte
# Between attempts, in seconds; one more attempt than pauses.
PAUSES: tuple[float, ...] = (1.0, 4.0)
# A server that answers so may answer otherwise in a moment.
_FOR_NOW = (408, 425, 429, 500, 502, 503, 504)
_LOGIN = (401, 403, 407)
_MISSING = (404, 410)


class _Interrupted(Exception):
    """The file did not come to its end; `args[0]` says why."""


def fetch(address: str) -> pathlib.Path:
    """The file of an address, from the cache or the network; whole and checked.

    Raises:
        WeightsError: one line, if it cannot be had or is not what was published.
    """
    wanted = parse(address)
    try:
        if not wanted.path.is_file():
            if is_offline():
                raise WeightsError(_unreachable(wanted, f"{OFFLINE_VARIABLE} is set"))
            _download(wanted)
        else:
            _check_kept(wanted)
    except OSError as error:
        raise WeightsError(
            f"{error.filename or wanted.path}: cannot be read or written "
            f"({reason_of(error)}); {VARIABLE} chooses another folder"
        ) from error
    return wanted.path


def _check_kept(wanted: WebFile) -> None:
    """A file that is there may have been put there by hand, or suffered."""
    try:
        _check(wanted.path, wanted, str(wanted.path))
    except WeightsError as error:
        raise WeightsError(
            f"{error}; delete it to have it fetched again, or put the file of "
            f"{wanted.url} there"
        ) from None


def _check(path: pathlib.Path, wanted: WebFile, named: str) -> None:
    check_content(path, named)
    if wanted.sha256:
        check_checksum(path, wanted.sha256, named)


def _unreachable(wanted: WebFile, reason: str) -> str:
    return f"{wanted.url}: cannot be reached ({reason}); {wanted.by_hand}"


def _download(wanted: WebFile) -> None:
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    with _held(wanted) as part:
        if wanted.path.is_file():  # another process was faster
            return
        _log.info("fetching %s", wanted.url)
        try:
            _receive_in_attempts(wanted, part)
            _accept(wanted, part)
        except BaseException as error:
            # A disk that is full gets its room back.
            if isinstance(error, OSError) or not _can_go_on(wanted):
                _remove(wanted)
            raise
        os.replace(wanted.part, wanted.path)
        wanted.version.unlink(missing_ok=True)
    if not wanted.sha256:
        _log.warning(
            "%s: no checksum of it is published; %s#sha256=%s has it checked from now on",
            wanted.path.name,
            wanted.url,
            checksum(wanted.path),
        )


def _accept(wanted: WebFile, part: BinaryIO) -> None:
    """Checks what has arrived, of which nothing stays if it is wrong."""
    part.flush()
    os.fsync(part.fileno())
    try:
        _check(wanted.part, wanted, wanted.url)
    except WeightsError as error:
        _remove(wanted)
        raise WeightsError(f"{error}; nothing of it was kept") from None


def _can_go_on(wanted: WebFile) -> bool:
    """Whether the next call may go on where this one ended."""
    with contextlib.suppress(OSError):
        return wanted.version.is_file() and wanted.part.stat().st_size > 0
    return False


def _remove(wanted: WebFile) -> None:
    for path in (wanted.part, wanted.version):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(wanted: WebFile) -> Iterator[BinaryIO]:
    """The part, which other processes wait for; the system frees what ends."""
    while True:
        part = os.fdopen(os.open(wanted.part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        with part:
            _lock(part, wanted)
            # The process that held it may have finished or removed it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(part.fileno()), os.stat(wanted.part)):
                    yield part
                    break
    # What this call made and did not use.
    with contextlib.suppress(OSError):
        if wanted.path.is_file() and wanted.part.stat().st_size == 0:
            wanted.part.unlink()


def _lock(part: BinaryIO, wanted: WebFile) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.info("%s: another process fetches it, waiting", wanted.path.name)
        fcntl.flock(part, fcntl.LOCK_EX)
    except OSError as error:  # a file system without locks
        _log.warning("%s: no locks there (%s)", wanted.path.parent, reason_of(error))


def _receive_in_attempts(wanted: WebFile, part: BinaryIO) -> None:
    """Reads the file to its end, going on after an interruption where that is possible.

    Raises:
        WeightsError: if it does not come.
    """
    for pause in (*PAUSES, None):
        try:
            return _receive(wanted, part)
        except _Interrupted as error:
            if pause is None:
                text = _unreachable(wanted, error.args[0])
                if _can_go_on(wanted):
                    text += "; the same call goes on where this one ended"
                raise WeightsError(text) from error
            _log.info("%s: %s; trying again", wanted.path.name, error.args[0])
            time.sleep(pause)


def _receive(wanted: WebFile, part: BinaryIO) -> None:
    """One request for what is missing.

    Raises:
        _Interrupted: where another attempt may help.
        WeightsError: where none will.
    """
    have = part.seek(0, os.SEEK_END)
    headers = {"Accept-Encoding": "identity", "User-Agent": "hrnet_jax"}
    if have and wanted.version.is_file():
        headers["If-Range"] = wanted.version.read_text()
        headers["Range"] = f"bytes={have}-"
    try:
        request = urllib.request.Request(wanted.url, headers=headers)
        with _OPENER.open(request, timeout=_SILENCE) as response:
            _store(wanted, part, response, have)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is no beginning of it
            part.truncate(0)
            raise _Interrupted("it has changed meanwhile") from error
        _refuse(wanted, error.code)
    except (http.client.HTTPException, OSError) as error:
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            raise
        reason = getattr(error, "reason", error)
        text = getattr(reason, "strerror", None) or str(reason) or repr(reason)
        raise _Interrupted(text) from error


def _refuse(wanted: WebFile, code: int) -> None:
    if code in _FOR_NOW:
        raise _Interrupted(f"HTTP {code}")
    _remove(wanted)
    if code in _LOGIN:
        text = f"HTTP {code}, it asks for a login; {wanted.by_hand}"
    elif code in _MISSING:
        text = f"HTTP {code}, no such file there"
    else:
        text = f"HTTP {code}; {wanted.by_hand}"
    raise WeightsError(f"{wanted.url}: {text}")


def _store(wanted: WebFile, part: BinaryIO, response: Any, have: int) -> None:
    """Writes what a response brings behind what is there."""
    headers = response.headers
    goes_on = response.status == http.client.PARTIAL_CONTENT
    if goes_on and not headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        part.truncate(0)
        raise _Interrupted("the server sent another part of it")
    have = have if goes_on else 0
    part.truncate(have)
    part.seek(have)
    total = _total(wanted, response, have)
    _note_version(wanted, headers, goes_on)
    with _progress(wanted.path.name, have, total) as progress:
        while chunk := response.read(_CHUNK):
            part.write(chunk)
            progress.update(len(chunk))
            have += len(chunk)
    part.flush()
    if total is not None and have < total:
        raise _Interrupted(f"the connection ended after {have} of {total} bytes")


def _total(wanted: WebFile, response: Any, have: int) -> int | None:
    """Bytes of the whole file; None where its end is marked in another way.

    Raises:
        WeightsError: if nothing would tell a whole file from a part of one.
    """
    length = response.headers.get("Content-Length", "")
    if length.isdecimal():
        return have + int(length)
    if not wanted.sha256 and not getattr(response, "chunked", False):
        raise WeightsError(
            f"{wanted.url}: the server does not say how long the file is; append "
            "#sha256=... to the address, or " + wanted.by_hand
        )
    return None


def _note_version(wanted: WebFile, headers: Any, goes_on: bool) -> None:
    """Keeps what a server needs to go on later, if it can."""
    etag = headers.get("ETag", "")
    version = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    if version and (goes_on or headers.get("Accept-Ranges") == "bytes"):
        wanted.version.write_text(version)
    else:
        wanted.version.unlink(missing_ok=True)


@contextlib.contextmanager
def _progress(name: str, have: int, total: int | None) -> Iterator[Any]:
    """A bar on a terminal."""
    from tqdm import tqdm

    with tqdm(
        desc=name, initial=have, total=total, unit="B", unit_scale=True, disable=None
    ) as bar:
        yield bar


class _StaysEncrypted(urllib.request.HTTPRedirectHandler):
    """Follows to https addresses only, or on this machine."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        parts = urllib.parse.urlsplit(newurl)
        both = (req.host or "", parts.netloc)
        is_local = all(is_loopback(host.rpartition(":")[0] or host) for host in both)
        if parts.scheme != "https" and not is_local:
            fp.close()
            raise WeightsError(
                f"{req.full_url}: leads to {newurl}, which is not encrypted; expected "
                "https"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_StaysEncrypted)
