"""What a push would change: what is built against what the repository holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from advgen.hub_release.contents import CARD, LocalFile, Release
from advgen.hub_release.remote import Remote, RemoteFile

State = Literal["new", "changed", "unchanged", "removed"]
_SHARD = re.compile(r"data/(.+/)?[^/]+-\d{5}-of-\d{5}\.parquet")


@dataclass(frozen=True, slots=True)
class FileChange:
    """What becomes of one file.

    Attributes:
        path: Inside the repository.
        size: In bytes, of what would be uploaded; of what is there where nothing would be.
        state: `new`, `changed`, `unchanged` (same hash, not sent) or `removed` (a shard of an
            earlier build that this one has no more).
    """

    path: str
    size: int
    state: State


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push would do.

    Attributes:
        repo: Repository id.
        revision: Branch that is written to, or that a pull request is made for.
        parent: Commit that the plan was made on; None where there is no repository.
        creates_repo: Whether the repository is made first.
        creates_branch: Whether the branch is made first.
        private: Whether only its owner sees the repository; None: as the account has it.
        changes: In order of paths.
        left_out: Files of the folder that are not part of a release.
    """

    repo: str
    revision: str
    parent: str | None
    creates_repo: bool
    creates_branch: bool
    private: bool | None
    changes: tuple[FileChange, ...]
    left_out: tuple[str, ...]

    @property
    def sent(self) -> tuple[FileChange, ...]:
        """What is uploaded."""
        return tuple(change for change in self.changes if change.state in ("new", "changed"))

    @property
    def upload_bytes(self) -> int:
        """How much is uploaded at most; the Hub skips what it knows already."""
        return sum(change.size for change in self.sent)

    @property
    def removed(self) -> tuple[str, ...]:
        """Paths that the commit takes away."""
        return tuple(change.path for change in self.changes if change.state == "removed")

    @property
    def empty(self) -> bool:
        """Whether the repository holds all of it already."""
        return not self.sent and not self.removed


def make_plan(release: Release, remote: Remote, *, private: bool | None = None) -> PushPlan:
    """Hold a release against a repository; large files by sha256, small ones by git's id.

    Only what a build wrote is removed: files that the repository's `build.json` names, and shards
    in `data/`. Anything else in the repository belongs to people and stays.
    """
    changes = [
        FileChange(file.path, file.size, _state(file, remote.files.get(file.path)))
        for file in release.files
    ]
    ours = {file.path for file in release.files} | {CARD}
    for path, there in remote.files.items():
        if path not in ours and (path in remote.built or _SHARD.fullmatch(path)):
            changes.append(FileChange(path, there.size, "removed"))
    missing = remote.commit is None
    return PushPlan(
        repo=remote.repo,
        revision=remote.revision,
        parent=remote.commit,
        creates_repo=missing,
        creates_branch=not missing and not remote.has_branch,
        private=private if missing else remote.private,
        changes=tuple(sorted(changes, key=lambda change: change.path)),
        left_out=release.left_out,
    )


def _state(file: LocalFile, there: RemoteFile | None) -> State:
    if there is None:
        return "new"
    same = there.sha256 == file.sha256 if there.sha256 else there.git_id == file.git_id
    return "unchanged" if same else "changed"
