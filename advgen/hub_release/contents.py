"""What of a built dataset goes to the Hub, checked before anything is sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from advgen.dataset import read_built
from advgen.errors import ConfigError, DataError

CARD, BUILD = "README.md", "build.json"
_BESIDE = (BUILD, "croissant.json", "dropped.jsonl", "fiftyone.yml", "LICENSE", "LICENSE.md")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it is to be in the repository.

    Attributes:
        path: Inside the repository.
        content: Where it lies, or its bytes.
        size: In bytes.
        sha256: Of the content; names a large file on the Hub.
        git_id: Object id that git gives the content; names a small file on the Hub.
    """

    path: str
    content: Path | bytes
    size: int
    sha256: str
    git_id: str

    @classmethod
    def of(cls, path: str, content: Path | bytes) -> LocalFile:
        """Read and hash a content.

        Raises:
            DataError: If the file cannot be read.
        """
        if isinstance(content, bytes):
            return cls(path, content, len(content), *_hashes(content, len(content)))
        try:
            size = content.stat().st_size
            return cls(path, content, size, *_hashes(content, size))
        except OSError as error:
            raise DataError(f"cannot read {content} ({error.strerror})") from error


@dataclass(frozen=True, slots=True)
class Release:
    """What is to be in the repository.

    Attributes:
        files: In order of their paths; the card is one of them.
        left_out: Files of the folder that no build makes; they are not sent.
    """

    files: tuple[LocalFile, ...]
    left_out: tuple[str, ...]

    @property
    def card(self) -> str:
        """Text of the card."""
        (card,) = [file for file in self.files if file.path == CARD]
        content = card.content
        data = content if isinstance(content, bytes) else content.read_bytes()
        return data.decode("utf-8")

    def with_card(self, text: str) -> Release:
        """The same with another card."""
        card = LocalFile.of(CARD, text.encode("utf-8"))
        return replace(self, files=tuple(card if f.path == CARD else f for f in self.files))


def read_release(folder: Path) -> Release:
    """The files of a built dataset, hashed and held against `build.json`.

    Raises:
        DataError: If the folder is no built dataset, or a file is not the one that was built.
        ConfigError: If the card names no licence.
    """
    built = read_built(folder)
    check_licence(built.card)
    hashes = {name: _built_hash(name, told) for name, told in built.build["files"].items()}
    names = [CARD, *hashes, *(name for name in _BESIDE if (folder / name).is_file())]
    files = tuple(LocalFile.of(name, folder / name) for name in sorted(set(names)))
    for file in files:
        if hashes.get(file.path, file.sha256) != file.sha256:
            raise DataError(
                f"{folder / file.path} is not the file that was built (its sha256 differs from "
                f"{BUILD}); build {folder} anew"
            )
    _no_strays(folder, set(hashes))
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return Release(files, tuple(sorted(there - set(names))))


def check_licence(card: str) -> None:
    """See that a card names its licence, and where to read it if it is none of the Hub's own.

    Raises:
        ConfigError: If it does not.
        DataError: If the front matter cannot be read.
    """
    from huggingface_hub import DatasetCard

    try:
        data = DatasetCard(card, ignore_metadata_errors=False).data.to_dict()
    except Exception as error:  # YAML faults come in several classes
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"the front matter of {CARD} cannot be read ({first}); correct it") from (
            error
        )
    if not data.get("license"):
        raise ConfigError(
            f"{CARD} names no licence, and nobody may use a dataset without one; put `license:` "
            "into its front matter, or build again with --licence"
        )
    if data["license"] == "other":
        for key in ("license_name", "license_link"):
            if not data.get(key):
                raise ConfigError(f"{CARD} has `license: other` but no `{key}:`; add it")


def _no_strays(folder: Path, built: set[str]) -> None:
    """Rows that no build wrote would be loaded with the others."""
    for path in sorted((folder / "data").rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        if name not in built:
            raise DataError(f"{path} is none of the files that were built; take it away")


def _built_hash(name: str, told: Any) -> str:
    sha256 = told.get("sha256") if isinstance(told, dict) else told
    parts = PurePosixPath(name).parts
    if not isinstance(sha256, str) or ".." in parts or name.startswith("/"):
        raise DataError(f"{BUILD} says nothing useful of '{name}'; build the dataset anew")
    return sha256


def _hashes(content: Path | bytes, size: int) -> tuple[str, str]:
    """The SHA-256, and git's object id: the SHA-1 of a header and the content."""
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    if isinstance(content, bytes):
        sha256.update(content)
        git.update(content)
    else:
        with open(content, "rb") as file:
            while block := file.read(1 << 20):
                sha256.update(block)
                git.update(block)
    return sha256.hexdigest(), git.hexdigest()
