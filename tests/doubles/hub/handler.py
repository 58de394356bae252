"""What a Hub answers, call by call."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from doubles.hub.repositories import READER, WRITER, Blob, Cut, Refusal, Repository, listed, modes

if TYPE_CHECKING:
    from doubles.hub.server import StubHub


class Handler(BaseHTTPRequestHandler):
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
            return self._json(listed(repo.trees[sha], "/".join(verb[2:]), query))
        if kind == "paths-info":
            paths = parse_qs(body.decode()).get("paths") or json.loads(body or b"{}")["paths"]
            found = listed(repo.trees[sha], "", {"recursive": ["true"]})
            return self._json([entry for entry in found if entry["path"] in paths])
        if kind == "preupload":
            return self._json({"files": modes(json.loads(body), repo.trees[sha])})
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
