"""Reads decisions that were made in another tool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from advgen.errors import ConfigError, DataError
from advgen.exports.label_studio_import import label_studio_votes
from advgen.exports.tables import csv_votes, jsonl_votes
from advgen.exports.votes import ImportReport, Vote, gather

_READERS: dict[str, Callable[[str, ImportReport], Iterator[Vote]]] = {
    "label-studio": label_studio_votes,
    "csv": csv_votes,
    "jsonl": jsonl_votes,
}
IMPORT_FORMATS = tuple(_READERS)


def read_import(path: Path, form: str, known: Mapping[str, str]) -> ImportReport:
    """The decisions in a file.

    Args:
        path: What another tool exported, or a person filled in.
        form: One of `IMPORT_FORMATS`.
        known: Id -> SHA-256 of the images that were decided on (`Source.identities`).

    Returns:
        Decisions, and everything that could not be used.

    Raises:
        ConfigError: If the format is unknown.
        DataError: If the file cannot be read as this format at all.
    """
    if form not in _READERS:
        raise ConfigError(f"unknown format '{form}'; choose one of {', '.join(IMPORT_FORMATS)}")
    report = ImportReport()
    try:
        return gather(_READERS[form](_text(path), report), known, report)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from error
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # a spreadsheet's "Unicode text"
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8 text (byte {error.start}); save it as 'CSV UTF-8' or export it again"
        ) from error
