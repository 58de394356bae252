"""What a Hub keeps: repositories with their commits, and lists of their files."""

import fnmatch
import hashlib
from dataclasses import dataclass, field
from typing import Any

ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"
WRITER, READER = "hf_WriterSecretOfTheTests", "hf_ReaderSecretOfTheTests"
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


def listed(tree: Tree, folder: str, query: dict[str, list[str]]) -> list[dict[str, Any]]:
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


def modes(wanted: dict[str, Any], tree: Tree) -> list[dict[str, Any]]:
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
