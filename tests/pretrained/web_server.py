"""A web server on this machine that serves files well, badly, or not to the end."""

import contextlib
import dataclasses
import http.server
import ssl
import threading
from collections.abc import Iterator


@dataclasses.dataclass
class Page:
    """What is served under a path.

    Attributes:
        body: all of it.
        status: of the answer.
        content_type: of it.
        etag: names this version; empty for a server that cannot go on in the middle.
        says_length: whether the answer has Content-Length.
        cuts: how many bytes come before the connection ends, one for each answer.
        leads_to: address of a redirection.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    etag: str = '"1"'
    says_length: bool = True
    cuts: list[int] = dataclasses.field(default_factory=list)
    leads_to: str = ""


class WebServer:
    """Pages by path, and the requests that came: (path, value of Range)."""

    def __init__(self, address: str):
        self.address = address
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str | None]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self):
        web = self.server.web
        asked = self.headers.get("Range")
        web.requests.append((self.path, asked))
        page = web.pages.get(self.path, Page(b"no", status=404))
        if page.leads_to:
            self.send_response(302)
            self.send_header("Location", page.leads_to)
            self.end_headers()
            return
        body, status, start = page.body, page.status, 0
        if asked and page.etag and self.headers.get("If-Range") == page.etag:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
        self.send_response(status)
        self.send_header("Content-Type", page.content_type)
        if page.etag:
            self.send_header("ETag", page.etag)
            self.send_header("Accept-Ranges", "bytes")
        if start:
            text = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.send_header("Content-Range", text)
        if page.says_length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        part = body[start:]
        self.wfile.write(part[: page.cuts.pop(0)] if page.cuts else part)

    def log_message(self, *arguments):
        """Says nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    web: WebServer


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """A server on a free port of loopback, with a certificate if there is a context."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        scheme = "https" if context else "http"
        server.web = WebServer(f"{scheme}://127.0.0.1:{server.server_port}")
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.web
        finally:
            server.shutdown()
            thread.join()
