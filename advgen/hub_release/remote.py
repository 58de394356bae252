"""What a dataset's repository on the Hub holds now; only asks, never writes."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi, constants, errors, get_token
from huggingface_hub.hf_api import RepoFile

from advgen.errors import ConfigError
from advgen.hub_release.contents import BUILD, CARD

_PATIENCE = 30.0
KIND = "dataset"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of the repository.

    Attributes:
        size: In bytes.
        sha256: Of a large file, None for a small one.
        git_id: git's object id; of the pointer where the file is large.
    """

    size: int
    sha256: str | None
    git_id: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository at one commit.

    Attributes:
        repo: Its id.
        revision: Branch that is written to.
        commit: What was looked at; None where there is no repository.
        private: Whether only its owner sees it.
        has_branch: Whether the branch is there; if not, `commit` is the main one's.
        files: By path.
        card: Text of its card; empty where it has none.
        built: Paths that its own `build.json` names.
    """

    repo: str
    revision: str
    commit: str | None = None
    private: bool = False
    has_branch: bool = False
    files: dict[str, RemoteFile] = field(default_factory=dict)
    card: str = ""
    built: frozenset[str] = frozenset()


def read_remote(repo: str, revision: str | None = None) -> Remote:
    """Look at a repository.

    Args:
        repo: Repository id.
        revision: Branch or pull request (`refs/pr/N`); the main branch if None.

    Raises:
        ConfigError: If there is no branch and none can be made of that name.
        Exception: Whatever `huggingface_hub` raises, but for a repository that is not there.
    """
    api, branch = HfApi(), revision or constants.DEFAULT_REVISION
    has_branch = True
    try:
        info = api.dataset_info(repo, revision=branch, timeout=_PATIENCE)
    except errors.GatedRepoError:
        raise
    except errors.RepositoryNotFoundError:
        if get_token() is None:
            raise
        return Remote(repo, branch)
    except errors.RevisionNotFoundError as error:
        if branch.startswith("refs/"):
            raise ConfigError(f"'{repo}' has no '{branch}'; name a branch") from error
        has_branch = False
        info = api.dataset_info(repo, timeout=_PATIENCE)
    commit = str(info.sha)
    files = read_tree(repo, commit)
    card = _text(repo, commit, CARD) if CARD in files else ""
    built = _built_paths(_text(repo, commit, BUILD)) if BUILD in files else frozenset()
    return Remote(repo, branch, commit, bool(info.private), has_branch, files, card, built)


def read_tree(repo: str, commit: str) -> dict[str, RemoteFile]:
    """The files of a commit by path."""
    entries = HfApi().list_repo_tree(repo, recursive=True, revision=commit, repo_type=KIND)
    return {
        entry.path: RemoteFile(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
        for entry in entries
        if isinstance(entry, RepoFile)
    }


def _text(repo: str, commit: str, path: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        found = HfApi().hf_hub_download(
            repo, path, repo_type=KIND, revision=commit, cache_dir=folder
        )
        return Path(found).read_text(encoding="utf-8")


def _built_paths(text: str) -> frozenset[str]:
    """Paths that a `build.json` names; none where somebody wrote something else there."""
    try:
        return frozenset(map(str, json.loads(text)["files"]))
    except (ValueError, KeyError, TypeError):
        return frozenset()
