"""A Hugging Face hub of repositories on the loopback interface, for tests without a network.

It speaks HTTP on a real socket, so that `huggingface_hub` runs unchanged, with the routes of a
download (the listing of a revision and its files, by HEAD and GET with ranges) and of a commit. A
test says what is there and what goes wrong.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Repo:
    """A repository: each revision's files, and who may read them."""

    name: str
    revisions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False  # listed for everyone, its files only with the token
    private: bool = False  # does not exist without the token

    def files(self, revision: str) -> dict[str, bytes] | None:
        by_commit = {self.commit(name): files for name, files in self.revisions.items()}
        return self.revisions.get(revision, by_commit.get(revision))

    def commit(self, revision: str) -> str:
        """The 40 digits of the commit that a revision stands for; equal files have equal
        commits.
        """
        files = self.revisions.get(revision)
        if files is None:
            return revision
        return hashlib.sha1(repr((self.name, sorted(files.items()))).encode()).hexdigest()


@dataclass
class Request:
    method: str
    path: str
    token: str | None


@dataclass
class Commit:
    """What was pushed at once."""

    repo: str
    revision: str
    message: str
    files: dict[str, bytes]


class HubServer:
    """The hub: `add` repositories, make it `fail` or `interrupt`, and read `requests` and `commits`
    afterwards.
    """

    TOKEN = "hf_the_token_of_the_tests"

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.commits: list[Commit] = []
        self._failures: list[tuple[str, int]] = []
        self._interruptions = 0
        self._answers: dict[str, bytes] = {}
        self._drips: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def add(
        self, name: str, files: dict[str, object], revision: str = "main", **access: bool
    ) -> Repo:
        """Set the files of a revision; what is neither bytes nor text is written as JSON.

        Args:
            name: `user/repo`, or `datasets/user/repo`.
        """
        repo = self.repos.setdefault(name, Repo(name, **access))
        repo.revisions[revision] = {path: _encoded(content) for path, content in files.items()}
        return repo

    def fail(self, status: int, times: int = 1, path: str = "") -> None:
        """Answer the next `times` requests whose path contains `path` with `status`."""
        self._failures += [(path, status)] * times

    def answer_with(self, path: str, content: bytes) -> None:
        """Write these bytes, status line and all, to every request whose path contains `path`."""
        self._answers[path] = content

    def drip(self, path: str) -> None:
        """Write the answers that `answer_with` sets for `path` a byte at a time, for ever."""
        self._drips.add(path)

    def raw_answer(self, path: str) -> tuple[bytes, bool] | None:
        """What `answer_with` says of a path, and whether it drips."""
        for part, content in self._answers.items():
            if part in path:
                return content, part in self._drips
        return None

    def interrupt(self, times: int = 1) -> None:
        """Close the connection in the middle of the next `times` downloads."""
        self._interruptions += times

    def paths(self, method: str) -> list[str]:
        return [request.path for request in self.requests if request.method == method]

    def close(self) -> None:
        """Stop answering; from now on connections are refused."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_failure(self, path: str) -> int | None:
        for i, (part, status) in enumerate(self._failures):
            if part in path:
                del self._failures[i]
                return status
        return None

    def next_interruption(self) -> bool:
        self._interruptions -= 1
        return self._interruptions >= 0

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        pause = threading.Event()  # `time.sleep` is replaced in the tests

        class Handler(BaseHTTPRequestHandler):
            # HTTP/1.0: one connection per request, so that none survives `close`
            def log_message(self, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                path, token, body = self.opened()
                if (raw := hub.raw_answer(path)) is not None:
                    return self.raw(*raw)
                if (status := hub.next_failure(path)) is not None:
                    return self.reply(status)
                if token != hub.TOKEN:
                    return self.reply(401, {"X-Error-Message": "Invalid username or password."})
                if path == "/api/repos/create":
                    return self.created(json.loads(body))
                name, _, route = path.removeprefix("/api/models/").partition("/preupload/")
                if route:
                    files = [
                        {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for file in json.loads(body)["files"]
                    ]
                    return self.json(200, {"files": files})
                name, _, revision = path.removeprefix("/api/models/").partition("/commit/")
                self.committed(name, revision, [json.loads(line) for line in body.splitlines()])

            def created(self, wanted: dict) -> None:
                name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
                exists = name in hub.repos
                hub.repos.setdefault(
                    name, Repo(name, {"main": {}}, private=bool(wanted.get("private")))
                )
                self.json(409 if exists else 200, {"url": f"{hub.endpoint}/{name}", "name": name})

            def committed(self, name: str, revision: str, lines: list[dict]) -> None:
                if name not in hub.repos:
                    return self.reply(404, {"X-Error-Code": "RepoNotFound"})
                header = next(line["value"] for line in lines if line["key"] == "header")
                files = {
                    line["value"]["path"]: base64.b64decode(line["value"]["content"])
                    for line in lines
                    if line["key"] == "file"
                }
                repo = hub.repos[name]
                repo.revisions.setdefault(revision, {}).update(files)
                hub.commits.append(Commit(name, revision, header["summary"], files))
                oid = repo.commit(revision)
                self.json(
                    200, {"commitUrl": f"{hub.endpoint}/{name}/commit/{oid}", "commitOid": oid}
                )

            def json(self, status: int, content: object) -> None:
                self.reply(
                    status, {"Content-Type": "application/json"}, json.dumps(content).encode()
                )

            def opened(self) -> tuple[str, str | None, bytes]:
                path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
                hub.requests.append(Request(self.command, path, token))
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return (
                        path,
                        token,
                        self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                    )
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return path, token, body

            def answer(self) -> None:
                path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
                hub.requests.append(Request(self.command, path, token))
                if (raw := hub.raw_answer(path)) is not None:
                    self.raw(*raw)
                elif (status := hub.next_failure(path)) is not None:
                    self.reply(status)
                elif path.startswith(("/api/models/", "/api/datasets/")):
                    name, _, revision = (
                        path.removeprefix("/api/").removeprefix("models/").partition("/revision/")
                    )
                    self.listing(name, revision, token)
                elif "/resolve/" in path:
                    self.file(*path.lstrip("/").partition("/resolve/")[::2], token)
                else:
                    self.reply(404)

            def listing(self, name: str, revision: str, token: str | None) -> None:
                repo, revision = hub.repos.get(name), revision or "main"
                if repo is None or (repo.private and token != hub.TOKEN):
                    self.unknown(token)
                elif (files := repo.files(revision)) is None:
                    self.reply(404, {"X-Error-Code": "RevisionNotFound"})
                else:
                    siblings = [
                        {"rfilename": path, "size": len(content)} for path, content in files.items()
                    ]
                    body = {
                        "id": name,
                        "modelId": name,
                        "sha": repo.commit(revision),
                        "siblings": siblings,
                    }
                    self.reply(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

            def file(self, name: str, rest: str, token: str | None) -> None:
                repo = hub.repos.get(name)
                if repo is None or (repo.private and token != hub.TOKEN):
                    return self.unknown(token)
                known = [*repo.revisions, *map(repo.commit, repo.revisions)]
                revision = next((known for known in known if rest.startswith(f"{known}/")), None)
                if revision is None:
                    return self.reply(404, {"X-Error-Code": "RevisionNotFound"})
                if repo.gated and token != hub.TOKEN:
                    return self.reply(403 if token else 401, {"X-Error-Code": "GatedRepo"})
                commit = {"X-Repo-Commit": repo.commit(revision)}
                content = (repo.files(revision) or {}).get(rest.removeprefix(f"{revision}/"))
                if content is None:
                    return self.reply(404, {"X-Error-Code": "EntryNotFound", **commit})
                etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                start = int(
                    (self.headers.get("Range") or "bytes=0-")
                    .removeprefix("bytes=")
                    .partition("-")[0]
                )
                ranged = (
                    {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
                    if start
                    else {}
                )
                self.reply(
                    206 if start else 200,
                    {"ETag": f'"{etag}"', **commit, **ranged},
                    content[start:],
                )

            def raw(self, content: bytes, drips: bool) -> None:
                with contextlib.suppress(OSError):  # who asked may have had enough
                    self.wfile.write(content)
                    while drips:
                        self.wfile.write(b"x")
                        pause.wait(0.05)

            def unknown(self, token: str | None) -> None:
                """As the hub does: 404 for those it knows; for others what does not exist is like
                what is private.
                """
                if token == hub.TOKEN:
                    self.reply(404, {"X-Error-Code": "RepoNotFound"})
                else:
                    self.reply(401, {"X-Error-Message": "Invalid username or password."})

            def reply(
                self, status: int, headers: dict[str, str] | None = None, body: bytes = b""
            ) -> None:
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                if "ETag" in (headers or {}) and hub.next_interruption():
                    self.wfile.write(body[: len(body) // 2])
                else:
                    self.wfile.write(body)

        return Handler


def _encoded(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()
