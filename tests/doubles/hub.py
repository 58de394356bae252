"""A Hugging Face Hub on the loopback: data set repositories, LFS, commits, branches, pull requests.

It answers what `huggingface_hub` and `datasets` ask for when a data set is pushed and loaded, keeps
every commit, and can be told to fail.
"""

import base64
import fnmatch
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from advgen.store import sha256_file

ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"
WRITER, READER = "hf_WriterSecretOfTheTests", "hf_ReaderSecretOfTheTests"
CARD = """---
license: cc-by-4.0
tags:
- clip
pretty_name: Drawn animals
configs:
- config_name: default
  data_files:
  - split: test
    path: data/test-*.parquet
---

<!-- advgen begins: rewritten by every build; write above or below -->
# Drawn animals

Made by a test.
<!-- advgen ends -->
"""
Trouble = Literal["500", "cut", "cut after"]
Tree = dict[str, "Blob"]


@dataclass(frozen=True)
class Blob:
    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def git(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()


@dataclass
class Repository:
    private: bool = False
    gated: bool = False
    refs: dict[str, str] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)

    def commit(self, ref: str, tree: Tree, title: str) -> str:
        told = f"{len(self.trees)} {ref} {title} {sorted((n, b.git) for n, b in tree.items())}"
        sha = hashlib.sha1(told.encode()).hexdigest()
        self.trees[sha], self.refs[ref] = dict(tree), sha
        self.titles.append(title)
        return sha

    def head(self, ref: str = "main") -> Tree:
        return self.trees[self.refs[ref]]

    def sha(self, revision: str) -> str | None:
        return self.refs.get(revision) or (revision if revision in self.trees else None)


class Refusal(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message


class Cut(Exception):
    """The connection is closed without an answer."""


class StubHub:
    """Repositories `me/...` may be written with `WRITER`; `READER` may read the public ones."""

    def __init__(self) -> None:
        self.repos: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.part_size: int | None = None
        self.delay = 0.0
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.lock = threading.RLock()
        self._counted, self._trouble, self._asking = 0, (0, 0, "500"), False
        outer = self

        class Handler(_Handler):
            hub = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Calls that are not plain questions."""
        return [call for call in self.calls if call[0] not in ("GET", "HEAD")]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, trouble: Trouble, at: int, times: int = 1, asking: bool = False) -> None:
        """Let the `at`-th call from now on go wrong, and those after it.

        Only calls that write are counted and fail, unless `asking`.
        """
        self._counted, self._trouble, self._asking = 0, (at, times, trouble), asking

    def heal(self) -> None:
        self._trouble = (0, 0, "500")

    def create(self, repo: str, files: dict[str, bytes] | None = None, **kind: bool) -> Repository:
        """A repository that is there already."""
        made = self.repos[repo] = Repository(**kind)
        made.commit("main", {".gitattributes": Blob(ATTRIBUTES, False)}, "initial commit")
        if files:
            blobs = {name: Blob(data, name.endswith(".parquet")) for name, data in files.items()}
            self.objects |= {blob.sha256: blob.data for blob in blobs.values() if blob.lfs}
            made.commit("main", {**made.head(), **blobs}, "files")
        return made

    def trouble(self, method: str, path: str) -> str:
        """What is to go wrong with this call."""
        with self.lock:
            self.calls.append((method, path))
            if method in ("GET", "HEAD") and not self._asking:
                return ""
            self._counted += 1
            at, times, trouble = self._trouble
            return trouble if at and at <= self._counted < at + times else ""


class _Handler(BaseHTTPRequestHandler):
    hub: StubHub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_GET

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        body = self._body()
        trouble = self.hub.trouble(self.command, unquote(path))
        time.sleep(self.hub.delay)
        try:
            self.hub.before(self.command, unquote(path))
            if trouble == "cut":
                raise Cut
            if trouble == "500":
                raise Refusal(500)
            parts = [unquote(part) for part in path.strip("/").split("/")]
            with self.hub.lock:
                status, headers, data = self._answer(parts, parse_qs(query), body)
            if trouble == "cut after":
                raise Cut
        except Cut:
            self.close_connection = True
            return
        except Refusal as refusal:
            status, data = refusal.status, json.dumps({"error": refusal.message}).encode()
            told = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            headers = {name: text for name, text in told.items() if text}
        self._send(status, headers, data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        return found

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(
        self, parts: list[str], query: dict[str, list[str]], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if parts[0] == "lfs":
            return self._object(parts[1:], body)
        token = self._token()
        if parts[:3] == ["api", "repos", "create"]:
            return self._json(self._create(json.loads(body), token))
        if parts[:2] == ["api", "validate-yaml"]:
            if b"---" not in body:
                raise Refusal(400, message="no front matter")
            return self._json({"warnings": [], "errors": []})
        if parts[:2] == ["api", "datasets"] and len(parts) >= 4:
            name = "/".join(parts[2:4])
            return self._api(name, parts[4:], query, body, token)
        if parts[0] == "datasets" and parts[3:5] == ["info", "lfs"]:
            return self._batch("/".join(parts[1:3]).removesuffix(".git"), json.loads(body), token)
        if parts[0] == "datasets" and parts[3:4] == ["resolve"]:
            return self._resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]), token)
        raise Refusal(404)

    def _token(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in ("", WRITER, READER):
            raise Refusal(401, message="Invalid credentials in Authorization header")
        return token

    def _json(self, answer: object, status: int = 200) -> tuple[int, dict[str, str], bytes]:
        return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def _repo(self, name: str, token: str, *, inside: bool = False) -> Repository:
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and token != WRITER):
            raise Refusal(404 if token else 401, "RepoNotFound", "Repository not found")
        if inside and repo.gated and token != WRITER:
            raise Refusal(403 if token else 401, "GatedRepo", "Access to this repo is restricted")
        return repo

    def _may_write(self, name: str, token: str) -> None:
        if not token:
            raise Refusal(401, message="Invalid username or password.")
        if token != WRITER or not name.startswith("me/"):
            raise Refusal(403, message=f"You don't have the rights to write to {name}")

    def _create(self, wanted: dict[str, Any], token: str) -> object:
        name = f"{wanted['organization']}/{wanted['name']}"
        self._may_write(name, token)
        if name in self.hub.repos:
            raise Refusal(409, message="You already created this dataset repo")
        self.hub.create(name, private=wanted.get("visibility") == "private")
        return {"url": f"{self.hub.url}/datasets/{name}", "name": name}

    def _api(
        self, name: str, verb: list[str], query: dict[str, list[str]], body: bytes, token: str
    ) -> tuple[int, dict[str, str], bytes]:
        pull = query.get("create_pr") == ["1"]
        kind, revision = (verb + ["", ""])[0], (verb + ["main", "main"])[1]
        repo = self._repo(name, token, inside=kind not in ("", "revision"))
        if self.command == "POST" and kind in ("commit", "branch", "preupload"):
            if not pull or not token:
                self._may_write(name, token)
            if kind == "branch":
                repo.refs[revision] = repo.refs["main"]
                return self._json({})
        sha = repo.sha(revision if kind else "main")
        if sha is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if kind in ("", "revision"):
            return self._json(self._info(name, repo, sha))
        if kind == "tree":
            return self._json(_listed(repo.trees[sha], "/".join(verb[2:]), query))
        if kind == "paths-info":
            paths = parse_qs(body.decode()).get("paths") or json.loads(body or b"{}")["paths"]
            found = _listed(repo.trees[sha], "", {"recursive": ["true"]})
            return self._json([entry for entry in found if entry["path"] in paths])
        if kind == "preupload":
            return self._json({"files": _modes(json.loads(body), repo.trees[sha])})
        if kind == "commit":
            return self._json(self._commit(name, repo, revision, body, pull))
        raise Refusal(404)

    def _info(self, name: str, repo: Repository, sha: str) -> dict[str, Any]:
        return {
            "id": name,
            "sha": sha,
            "private": repo.private,
            "gated": "manual" if repo.gated else False,
            "tags": [],
            "siblings": [{"rfilename": path} for path in repo.trees[sha]],
        }

    def _commit(
        self, name: str, repo: Repository, ref: str, body: bytes, pull: bool
    ) -> dict[str, Any]:
        header, *lines = [json.loads(line) for line in body.decode().splitlines()]
        parent = header["value"].get("parentCommit") or repo.refs[ref]
        if not pull and parent != repo.refs[ref]:
            raise Refusal(412, message="A commit has happened since. Please refresh and try again.")
        tree = dict(repo.trees[parent])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                tree[value["path"]] = Blob(base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    raise Refusal(400, message="LFS pointer points to a file that is not there")
                tree[value["path"]] = Blob(self.hub.objects[value["oid"]], True)
            elif tree.pop(value["path"], None) is None:
                raise Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
        number = sum(name.startswith("refs/pr/") for name in repo.refs) + 1
        target = f"refs/pr/{number}" if pull else ref
        sha = repo.commit(target, tree, header["value"]["summary"])
        page = f"{self.hub.url}/datasets/{name}"
        return {
            "success": True,
            "commitOid": sha,
            "commitUrl": f"{page}/commit/{sha}",
            "pullRequestUrl": f"{page}/discussions/{number}" if pull else None,
        }

    def _batch(
        self, name: str, wanted: dict[str, Any], token: str
    ) -> tuple[int, dict[str, str], bytes]:
        self._repo(name, token)
        if "ref" in wanted:
            self._may_write(name, token)
        found = []
        for entry in wanted["objects"]:
            actions = {"upload": self._upload(entry)}
            here = entry["oid"] in self.hub.objects
            found.append(entry if here else {**entry, "actions": actions})
        return self._json({"transfer": "basic", "objects": found})

    def _upload(self, entry: dict[str, Any]) -> dict[str, Any]:
        href, size = f"{self.hub.url}/lfs/{entry['oid']}", self.hub.part_size
        if size is None or entry["size"] <= size:
            return {"href": f"{href}?X-Signature=SignatureOfTheTests"}
        parts = range(1, -(-entry["size"] // size) + 1)
        urls = {f"{number:05d}": f"{href}/{number:05d}" for number in parts}
        return {"href": f"{href}/done", "header": {"chunk_size": str(size), **urls}}

    def _object(self, parts: list[str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        oid, part = parts[0], "".join(parts[1:])
        if part and part != "done":
            self.hub.parts[f"{oid}/{part}"] = body
            return 200, {"ETag": f'"{part}"'}, b""
        if part:
            names = [f"{oid}/{entry['partNumber']:05d}" for entry in json.loads(body)["parts"]]
            body = b"".join(self.hub.parts[name] for name in names)
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refusal(400, message="the content does not have that hash")
        self.hub.objects[oid] = body
        self.hub.uploads.append(oid)
        return 200, {}, b""

    def _resolve(
        self, name: str, revision: str, path: str, token: str
    ) -> tuple[int, dict[str, str], bytes]:
        repo = self._repo(name, token, inside=True)
        sha = repo.sha(revision)
        if sha is None:
            raise Refusal(404, "RevisionNotFound")
        blob = repo.trees[sha].get(path)
        if blob is None:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        tag = blob.sha256 if blob.lfs else blob.git
        headers = {"ETag": f'"{tag}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        if self.command == "GET" and wanted and blob.data:
            first, _, last = wanted.partition("-")
            end = min(int(last) + 1 if last else len(blob.data), len(blob.data))
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(blob.data)}"
            return 206, headers, blob.data[int(first) : end]
        return 200, headers, blob.data


def _listed(tree: Tree, folder: str, query: dict[str, list[str]]) -> list[dict[str, Any]]:
    deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
    start = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for path, blob in sorted(tree.items()):
        if not path.startswith(start):
            continue
        inner = path.removeprefix(start).split("/")
        for depth in range(1, len(inner) if deep else min(2, len(inner))):
            name = start + "/".join(inner[:depth])
            found[name] = {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
        if deep or len(inner) == 1:
            found[path] = _entry(path, blob)
    if folder and not found:
        raise Refusal(404, "EntryNotFound", f"{folder} does not exist")
    return list(found.values())


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "oid": blob.git, "size": len(blob.data)}
    if blob.lfs:
        pointer = {"oid": blob.sha256, "size": len(blob.data), "pointerSize": 132}
        return {**entry, "oid": hashlib.sha1(blob.sha256.encode()).hexdigest(), "lfs": pointer}
    return entry


def _modes(wanted: dict[str, Any], tree: Tree) -> list[dict[str, Any]]:
    own = tree[".gitignore"].data.decode() if ".gitignore" in tree else ""
    ignored = wanted.get("gitIgnore", own).split()
    found = []
    for entry in wanted["files"]:
        path, blob = entry["path"], tree.get(entry["path"])
        found.append(
            {
                "path": path,
                "uploadMode": "lfs" if path.endswith(".parquet") else "regular",
                "shouldIgnore": any(fnmatch.fnmatch(path, pattern) for pattern in ignored),
                "oid": None if blob is None else blob.sha256 if blob.lfs else blob.git,
            }
        )
    return found


@contextmanager
def client_of(patch: pytest.MonkeyPatch, home: Path) -> Iterator[StubHub]:
    """A Hub for the client of this process, which waits for nothing between its tries."""
    running = StubHub()
    for name in ("HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE", "HTTP_PROXY", "ALL_PROXY"):
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)
    files = running.url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setenv("HF_TOKEN", WRITER)
    patch.setattr(constants, "ENDPOINT", running.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "no-token"))
    patch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))
    yield running
    running.close()


def seal(root: Path, card: str = CARD) -> Path:
    """Writes what stands beside the `data/*.parquet` of a built dataset."""
    files = {
        path.relative_to(root).as_posix(): {"sha256": sha256_file(path)}
        for path in sorted((root / "data").rglob("*.parquet"))
    }
    rest = {key: {} for key in ("counts", "settings", "configs", "licence")}
    (root / "build.json").write_text(json.dumps({"format": 1, "files": files, **rest}))
    (root / "README.md").write_text(card)
    (root / "croissant.json").write_text("{}")
    (root / "dropped.jsonl").write_text("")
    return root
