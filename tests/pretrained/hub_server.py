"""The part of the Hugging Face hub's protocol that this package uses, on this machine.

Repositories with revisions; files up to `SMALL` bytes are kept in git and named by their
sha1, larger ones by their sha256, as there. A token is any text that begins with `hf_`.
"""

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping

SMALL = 100_000
_FILE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
_INFO = re.compile(r"/api/models/([\w.-]+/[\w.-]+?)(?:/revision/([^/]+))?")
_MODELS = re.compile(r"/api/models/([\w.-]+/[\w.-]+)/(preupload|commit)/([^/]+)")
_LFS = re.compile(r"/([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch")


@dataclasses.dataclass
class Repository:
    """Files by commit, and commits by branch or tag.

    Attributes:
        commits: commit -> path -> content.
        names: branch or tag -> commit.
        private: whether a token is needed.
        gated: whether terms have to be accepted, which nobody here has.
    """

    commits: dict[str, dict[str, bytes]] = dataclasses.field(default_factory=dict)
    names: dict[str, str] = dataclasses.field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: Mapping[str, bytes], name: str = "main") -> str:
        """Adds a commit on top of a branch."""
        content = self.commits.get(self.names.get(name, ""), {}) | dict(files)
        commit = hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()
        self.commits[commit] = content
        self.names[name] = commit
        return commit

    def at(self, revision: str) -> str | None:
        """The commit of a revision."""
        commit = self.names.get(revision, revision)
        return commit if commit in self.commits else None


class Hub:
    """Repositories by `OWNER/NAME`.

    Attributes:
        requests: (method, path) of those that came.
        damaged: files served with another last byte.
        cut: files of which half comes.
        page: served in place of everything, as a network with a login does.
    """

    def __init__(self, address: str):
        self.address = address
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.damaged: set[str] = set()
        self.cut: set[str] = set()
        self.page = b""

    def add(self, repo: str, files: Mapping[str, bytes], **facts) -> Repository:
        """A new repository with one commit."""
        self.repositories[repo] = Repository(**facts)
        self.repositories[repo].commit(files)
        return self.repositories[repo]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub, path = self._begin()
        if hub.page:
            self._answer(hub.page, content_type="text/html")
        elif found := _FILE.fullmatch(path):
            self._file(*map(urllib.parse.unquote, found.groups()))
        elif found := _INFO.fullmatch(path):
            self._info(found[1], urllib.parse.unquote(found[2] or "main"))
        else:
            self._refuse(404, "")

    def do_PUT(self):
        hub, path = self._begin()
        hub.stored[path.rpartition("/")[2]] = self.body
        self._answer(b"")

    def do_POST(self):
        _, path = self._begin()
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif not self._token():
            self._refuse(401, "")
        elif path == "/api/repos/create":
            self._create(json.loads(self.body))
        elif found := _MODELS.fullmatch(path):
            getattr(self, f"_{found[2]}")(found[1], found[3])
        elif _LFS.fullmatch(path):
            self._batch(json.loads(self.body))
        else:
            self._refuse(404, "")

    def _begin(self) -> tuple[Hub, str]:
        path = urllib.parse.urlsplit(self.path).path
        self.server.hub.requests.append((self.command, urllib.parse.unquote(path)))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return self.server.hub, path

    def _token(self) -> bool:
        return self.headers.get("Authorization", "").startswith("Bearer hf_")

    def _open(self, repo: str) -> Repository | None:
        """The repository, unless it has been refused."""
        found = self.server.hub.repositories.get(repo)
        if found is None or (found.private and not self._token()):
            self._refuse(404 if self._token() else 401, "RepoNotFound")
            return None
        return found

    def _info(self, repo: str, revision: str) -> None:
        found = self._open(repo)
        if found is None:
            return
        commit = found.at(revision)
        if commit is None and found.commits:
            self._refuse(404, "RevisionNotFound")
            return
        names = found.commits.get(commit or "", {})
        siblings = [{"rfilename": name} for name in names]
        self._json({"id": repo, "sha": commit, "siblings": siblings})

    def _file(self, repo: str, revision: str, name: str) -> None:
        found = self._open(repo)
        if found is None:
            return
        commit = found.at(revision)
        if found.gated:
            self._refuse(403, "GatedRepo")
        elif commit is None:
            self._refuse(404, "RevisionNotFound")
        elif name not in found.commits[commit]:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
        else:
            content = found.commits[commit][name]
            sha = hashlib.sha256 if len(content) > SMALL else hashlib.sha1
            etag = f'"{sha(content).hexdigest()}"'
            headers = {
                "ETag": etag,
                "X-Repo-Commit": commit,
                "X-Linked-Etag": etag,
                "X-Linked-Size": str(len(content)),
                "Accept-Ranges": "bytes",
            }
            if name in self.server.hub.damaged:
                content = content[:-1] + bytes([content[-1] ^ 1])
            self._answer(content, headers)

    def _create(self, wanted: dict) -> None:
        name = wanted["name"]
        repo = f"{wanted['organization']}/{name}" if "organization" in wanted else name
        url = f"{self.server.hub.address}/{repo}"
        if repo in self.server.hub.repositories:
            self._json({"error": "it is there", "url": url}, 409)
            return
        private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        made = self.server.hub.add(repo, {".gitattributes": b""}, private=private)
        assert made.commits
        self._json({"url": url, "name": repo})

    def _preupload(self, repo: str, revision: str) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] > SMALL else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in json.loads(self.body)["files"]
        ]
        self._json({"files": files})

    def _batch(self, wanted: dict) -> None:
        objects = [
            each
            | {
                "actions": {
                    "upload": {"href": f"{self.server.hub.address}/lfs/{each['oid']}"}
                }
            }
            for each in wanted["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, repo: str, revision: str) -> None:
        hub, files = self.server.hub, {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = hub.stored[value["oid"]]
        commit = hub.repositories[repo].commit(files, revision)
        self._json(
            {
                "success": True,
                "commitOid": commit,
                "commitUrl": f"{hub.address}/{repo}/commit/{commit}",
            }
        )

    def _refuse(self, status: int, code: str, headers: Mapping = {}) -> None:
        facts = {"X-Error-Code": code} if code else {}
        self._answer(b"{}", facts | dict(headers), status)

    def _json(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self._answer(body, status=status, content_type="application/json")

    def _answer(
        self,
        body: bytes,
        headers: Mapping[str, str] = {},
        status: int = 200,
        content_type: str = "application/octet-stream",
    ) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, size = 0, len(body)
        if asked and status == 200:
            start, end = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
            body, status = body[start : end + 1], 206
        self.send_response(status)
        if status == 206:
            end = start + len(body) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            is_cut = any(self.path.endswith(name) for name in self.server.hub.cut)
            self.wfile.write(body[: len(body) // 2] if is_cut else body)
            self.close_connection = is_cut

    def log_message(self, *arguments):
        """Says nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    """A hub on a free port of loopback."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.hub
        finally:
            server.shutdown()
            thread.join()
