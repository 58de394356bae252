"""What of a repository is on this machine already."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import constants, snapshot_download

from advgen.hub.faults import MAIN

_SHARD = re.compile(r"(?P<head>.+)-\d{5}-of-(?P<count>\d{5})(?P<tail>\..+)")
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf")
_INDEX = re.compile(r"\.index(\.\w+)?\.json$")
_WEIGHTLESS = re.compile(r"Tokenizer|Scheduler|Processor|Extractor")


def cached_revision(repo: str, revision: str = MAIN) -> str | None:
    """The commit that a branch or tag had when it was last downloaded, or None.

    Downloads by commit leave no note of the branch: the newest commit on this machine then stands
    for the main one.
    """
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    snapshots = folder / "snapshots"
    try:
        commit = (folder / "refs" / revision).read_text(encoding="utf-8").strip()
        if commit and (snapshots / commit).is_dir():
            return commit
    except (OSError, ValueError):
        pass
    if revision != MAIN or not snapshots.is_dir():
        return None
    found = [path for path in snapshots.iterdir() if path.is_dir()]
    newest = max(found, key=lambda path: (path.stat().st_mtime, path.name), default=None)
    return newest.name if newest else None


def cached_folder(repo: str, files: Sequence[str] = ()) -> Path | None:
    """The downloaded copy of a repository when it is whole, None otherwise.

    Args:
        repo: Repository id, with `@revision` for another than the main one.
        files: What of it is needed, as patterns; empty for all.
    """
    name, _, revision = repo.partition("@")
    try:
        folder = snapshot_download(
            name,
            revision=cached_revision(name, revision or MAIN) or revision or None,
            allow_patterns=list(files) or None,
            local_files_only=True,
        )
        return Path(folder) if _is_whole(Path(folder), files) else None
    except Exception:  # not there, damaged, or no name of a repository
        return None


def _is_whole(folder: Path, files: Sequence[str]) -> bool:
    """Whether each part of a downloaded model has all shards of at least one set of weights."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    if files:
        names = [name for name in names if any(fnmatch(name, pattern) for pattern in files)]
    parts: dict[str, set[str]] = {
        part: set() for part in _components(folder) if _asked_for(part, files)
    }
    for name in names:
        part, _, file = name.rpartition("/")
        if file.endswith(_WEIGHTS) or _INDEX.search(file):
            parts.setdefault(part, set()).add(file)
    return bool(parts) and all(map(_has_weights, parts.values()))


def _components(folder: Path) -> set[str]:
    """Sub-folders of a diffusers pipeline that hold weights, by its `model_index.json`."""
    index = folder / "model_index.json"
    if not index.is_file():
        return set()
    entries = json.loads(index.read_text(encoding="utf-8")).items()
    return {
        name
        for name, entry in entries
        if isinstance(entry, list) and entry[-1] and not _WEIGHTLESS.search(str(entry[-1]))
    }


def _asked_for(part: str, files: Sequence[str]) -> bool:
    folders = [pattern.partition("/")[0] for pattern in files if "/" in pattern]
    return not files or any(fnmatch(part, folder) for folder in folders)


def _has_weights(names: Iterable[str]) -> bool:
    """Whether there is a file of weights that is no shard, or all shards of a set."""
    shards: dict[tuple[str, ...], int] = defaultdict(int)
    for name in names:
        if not name.endswith(_WEIGHTS):
            continue
        shard = _SHARD.fullmatch(name)
        if shard is None:
            return True
        shards[shard["head"], shard["count"], shard["tail"]] += 1
    return any(found == int(count) for (_, count, _), found in shards.items())
