"""A server that speaks the protocol of Google Cloud Storage, on this machine alone."""

import contextlib
import io
import json
import logging
import os
import threading
import time
import urllib.parse
from collections.abc import Iterator
from functools import partial
from http import server

BUCKET = "tests"
# Seconds, of the environment of the package.
PATIENCE = "HRNET_JAX_STORAGE_PATIENCE"


class Bucket:
    """An empty bucket in memory, behind a port of this machine; fails on request.

    Attributes:
        url: of the server.
        status: what it answers while it fails, an HTTP status.
        requests: (method, path) of the requests so far.
    """

    def __init__(self):
        from gcp_storage_emulator.handlers import buckets
        from gcp_storage_emulator.storage import Storage

        logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
        storage = Storage(use_memory_fs=True)
        buckets.create_bucket(BUCKET, storage)
        self.status, self._until = 503, 0.0
        self.requests: list[tuple[str, str]] = []
        handler = partial(_handler_class(self, storage), storage)
        # With threads, as clients open several connections and keep them.
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        ).start()

    def environment(self, patience: float = 60.0) -> dict[str, str]:
        """Variables of a process that is to find the server."""
        return {
            "STORAGE_EMULATOR_HOST": self.url,
            "TENSORSTORE_GCS_HTTP_URL": self.url,
            "EPATH_USE_TF": "0",
            # Nobody signs in here; no need to look for a machine of Google's.
            "NO_GCE_CHECK": "true",
            PATIENCE: str(patience),
        }

    def fail(self, seconds: float = float("inf"), status: int = 503) -> None:
        """Answers nothing else than an HTTP status for so long."""
        self.status, self._until = status, time.monotonic() + seconds

    def recover(self) -> None:
        """Answers again."""
        self._until = 0.0

    def is_failing(self) -> bool:
        return time.monotonic() < self._until

    def stop(self) -> None:
        """Nothing listens to the port any more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(server.ThreadingHTTPServer):
    daemon_threads = True
    # Connections that wait to be accepted; of more than five at once some wait seconds.
    request_queue_size = 128

    def handle_error(self, *_):
        """Says nothing of clients that went away, as killed ones do."""


def _generation(storage, name: str) -> str:
    """Of an object; "0" where there is none."""
    found = storage.objects.get(BUCKET, {}).get(name)
    return found["generation"] if found else "0"


def _precondition(handler, method, storage) -> tuple[str, int | None]:
    """Generation of an object that is read; status of what only other contents meet.

    The emulator knows neither preconditions nor the header that tells what was read.
    TensorStore needs both where objects are written anew, and gcsfs the former where
    an object is to be made only if it is not there (ifGenerationMatch=0).
    """
    url = urllib.parse.urlsplit(handler.path)
    query = urllib.parse.parse_qs(url.query)
    name = query.get("name") or [url.path.partition("/o/")[2]]
    if query.get("uploadType") == ["multipart"] and "ifGenerationMatch" in query:
        name = [_name_in_content(handler)]
    generation = _generation(storage, urllib.parse.unquote(name[0]))
    reads = method == "GET" and query.get("alt") == ["media"]
    if reads and query.get("ifGenerationNotMatch") == [generation]:
        return generation, 304
    wanted = query.get("ifGenerationMatch", [generation])
    return generation if reads else "", None if wanted == [generation] else 412


def _name_in_content(handler) -> str:
    """Of an upload in two parts, the first of which has it, as gcsfs makes them.

    The content stays there to be read.
    """
    content = handler.rfile.read(int(handler.headers["Content-Length"]))
    handler.rfile = io.BytesIO(content)
    text = content[content.index(b"{") :].decode("latin-1")
    facts, _ = json.JSONDecoder().raw_decode(text)
    return facts["name"]


def _handler_class(bucket: Bucket, storage) -> type:
    from gcp_storage_emulator.server import RequestHandler, Router

    # The emulator is not made for requests at the same time.
    lock = threading.Lock()

    class Handler(RequestHandler):
        generation = ""

        def answer(self, method):
            bucket.requests.append((method, self.path))
            if bucket.is_failing():
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_error(bucket.status)
                return
            connection = self.rfile
            with lock:
                self.generation, status = _precondition(self, method, storage)
                if status:
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    Router(self).handle(method)
            self.rfile = connection

        def end_headers(self):
            if self.generation:
                self.send_header("x-goog-generation", self.generation)
            super().end_headers()

        def log_message(self, *_):
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):

        def do(self, method=method):
            self.answer(method)

        setattr(Handler, f"do_{method}", do)
    return Handler


@contextlib.contextmanager
def serving(patience: float = 60.0) -> Iterator[Bucket]:
    """A bucket that this process and those it starts find, within this context."""
    bucket = Bucket()
    before = {name: os.environ.get(name) for name in bucket.environment()}
    os.environ.update(bucket.environment(patience))
    _forget_clients()
    try:
        yield bucket
    finally:
        bucket.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _forget_clients()


def _forget_clients() -> None:
    """The next path asks the server that the environment names now."""
    from etils.epath import backend
    from orbax.checkpoint._src.path import gcs_utils

    from hrnet_jax.storage import google

    google.GoogleStorage.clear_instance_cache()
    google.forget_outage()
    backend.fsspec_backend._get_filesystem.cache_clear()
    gcs_utils.get_bucket.cache_clear()
