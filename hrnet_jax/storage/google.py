"""Google Cloud Storage through gcsfs, which is asked again where it does not answer.

epath and Orbax take the file system that fsspec has for `gs://`; it is this one from the
first path on (`paths.as_path`). TensorStore, which reads and writes the arrays of
checkpoints, has its own client and its own retries, set to last as long.
"""

import asyncio
import contextlib
import errno
import io
import logging
import os
import posixpath
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import fsspec
import fsspec.asyn
import google.auth.exceptions
import requests.exceptions
from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError, is_retriable

from hrnet_jax.errors import StorageError
from hrnet_jax.storage.patience import Outage

# Says that a folder is complete, as Orbax does; the first to go, so that a folder whose
# deletion is cut short does not pass for complete.
COMPLETE = "commit_success.txt"

_SIGN_IN = "gcloud auth application-default login"
_TRANSIENT = (
    aiohttp.ClientError,
    asyncio.TimeoutError,
    requests.exceptions.RequestException,
    google.auth.exceptions.TransportError,
)
_outage = Outage()


def take_over() -> None:
    """Makes this the file system of `gs://`, for fsspec and whoever uses it."""
    # Where TensorFlow is installed epath would use its file system instead.
    os.environ.setdefault("EPATH_USE_TF", "0")
    for name in GoogleStorage.protocol:
        fsspec.register_implementation(name, GoogleStorage, clobber=True)
    # Each failure reaches its caller; gcsfs would log every one with its traceback.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)


def forget_outage() -> None:
    """Begins anew with full patience, as a new process would."""
    global _outage
    _outage = Outage()


def _once(name: str) -> Callable[..., Awaitable[Any]]:
    """A method of gcsfs without the retries that it is decorated with."""
    method = getattr(GCSFileSystem, name)
    return getattr(method, "__wrapped__", method)


class GoogleStorage(GCSFileSystem):
    """gcsfs with patience, with errors of one line, and without cached listings.

    A listing that is kept does not show what another process wrote meanwhile.
    """

    protocol = "gs", "gcs"

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("use_listings_cache", False)
        super().__init__(*args, **kwargs)
        self._known_buckets: set[str] = set()

    async def _request(self, method, path, *args, **kwargs):
        place = _place(path, args)
        content = kwargs.get("data")

        def ask():
            if isinstance(content, bytes):
                # In pieces: the whole at once would hold up all other requests.
                kwargs["data"] = io.BytesIO(content)
            return _once("_request")(self, method, path, *args, **kwargs)

        try:
            return await _patiently(ask, place)
        except FileNotFoundError:
            await self._check_bucket(place)
            raise

    async def _get_file_request(self, rpath, lpath, *args, **kwargs):
        def ask():
            return _once("_get_file_request")(self, rpath, lpath, *args, **kwargs)

        return await _patiently(ask, f"gs://{self._strip_protocol(rpath)}")

    async def _isdir(self, path):
        # gcsfs says no of storage that does not answer as well.
        try:
            return (await self._info(path))["type"] == "directory"
        except FileNotFoundError:
            return False

    async def _rm(self, path, recursive=False, **kwargs):
        if recursive and isinstance(path, str):
            with contextlib.suppress(FileNotFoundError):
                await self._rm_file(posixpath.join(path, COMPLETE))
        return await super()._rm(path, recursive=recursive, **kwargs)

    rm = fsspec.asyn.sync_wrapper(_rm)

    async def _check_bucket(self, place: str) -> None:
        """Tells an object that is not there from a bucket that is not."""
        bucket = _bucket(place).removeprefix("gs://")
        if bucket in self._known_buckets or not bucket:
            return

        def ask():
            return _once("_request")(self, "GET", "b/{}/o", bucket, maxResults=1)

        try:
            await _patiently(ask, f"gs://{bucket}")
        except FileNotFoundError:
            raise StorageError(
                errno.ENOENT, "no such bucket; make it first", f"gs://{bucket}"
            ) from None
        self._known_buckets.add(bucket)


async def _patiently(ask: Callable[[], Awaitable[Any]], place: str) -> Any:
    """The answer to a request, which is made again where storage does not answer.

    Raises:
        StorageError: if it did not for too long, or refuses.
        FileNotFoundError: if there is no such object.
    """
    tries = 0
    while True:
        tries += 1
        try:
            answer = await ask()
        except FileNotFoundError:
            _outage.answered()
            raise
        except Exception as error:
            if not _is_transient(error):
                raise _refusal(error, place) or error from error
            reason = _in_few_words(error)
        else:
            _outage.answered()
            return answer
        # Outside the handler, so that errors of earlier tries are not shown.
        await asyncio.sleep(_outage.failed(_bucket(place), reason, tries))


def _is_transient(error: Exception) -> bool:
    if isinstance(error, HttpError):
        return is_retriable(error)
    return isinstance(error, _TRANSIENT)


def _refusal(error: Exception, place: str) -> StorageError | None:
    """What to say of storage that refuses, which asking again does not change."""
    denied = isinstance(error, OSError) and str(error).startswith("Forbidden")
    code = getattr(error, "code", None)
    if denied or code in (401, 403, "401", "403"):
        return StorageError(
            errno.EACCES,
            "no permission; sign in as somebody who may read and write there "
            f"({_SIGN_IN}), or have this account granted it",
            place,
        )
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        return StorageError(
            errno.EACCES,
            f"cannot sign in ({_in_few_words(error)}); {_SIGN_IN}",
            place,
        )
    if isinstance(error, HttpError):
        return StorageError(errno.EIO, f"refused ({_in_few_words(error)})", place)
    return None


def _in_few_words(error: Exception) -> str:
    if isinstance(error, HttpError) and error.code:
        return f"HTTP {error.code}"
    text = " ".join(str(error).split())
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.errno) if error.errno else "no connection"
    return text[:120] or type(error).__name__


def _bucket(place: str) -> str:
    """`gs://bucket` of `gs://bucket/object`."""
    return "/".join(place.split("/")[:3])


def _place(path: str, args: tuple) -> str:
    """The object or bucket of a request: `b/{}/o/{}` with its arguments.

    `gs://` alone for requests of another form, such as many deletions at once.
    """
    if args:
        return "gs://" + "/".join(str(each) for each in args)
    _, found, rest = f"/{path}".partition("/b/")
    return f"gs://{rest.partition('/')[0]}" if found else "gs://"
