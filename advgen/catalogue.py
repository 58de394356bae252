"""What is known of the models that advgen can be asked to use: licences, sizes, memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from importlib import resources
from typing import Any

from advgen.toml import read_toml

WORKING_SHARE = 1.2
"""Memory that a model takes while it works, by its weights: a rule of thumb, not a measurement."""
BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int8": 1.0, "int4": 0.5}
"""Of a number, by its format."""
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Need:
    """A model that a part of an attack loads.

    Attributes:
        role: What it is for: `attacked model`, `describer`, `image stage 1` ...
        source: Hugging Face id or local folder.
        files: What of the repository is fetched, as patterns; empty for all.
    """

    role: str
    source: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model; None for what is not known.

    Attributes:
        source: Hugging Face id.
        licence: Name of its licence.
        licence_page: Where the licence can be read.
        gated: Whether the Hub gives it only to those who accepted the licence.
        download_gb: About how much is fetched, in 10^9 bytes.
        gpu_gb: About how much memory it takes while it works, in 10^9 bytes.
        largest_gb: The same for its largest part alone, the others waiting elsewhere.
        note: What else a user should know.
    """

    source: str
    licence: str | None = None
    licence_page: str | None = None
    gated: bool | None = None
    download_gb: float | None = None
    gpu_gb: float | None = None
    largest_gb: float | None = None
    note: str = ""


def needs_nothing(options: Mapping[str, Any]) -> list[Need]:
    """For parts that load no model of their own."""
    return []


def known_models() -> list[str]:
    """Sources of all models in the catalogue."""
    return [entry["source"] for entry in _entries()]


def known_need(role: str, name: str) -> Need | None:
    """The repository behind a model's name and the files that are fetched of it, or None."""
    entry = _entry(name)
    if entry is None:
        return None
    return Need(role, entry["source"], tuple(entry.get("files", ())))


def model_facts(source: str, *, files: Iterable[str] = (), dtype: str | None = None) -> ModelFacts:
    """What is known of a model.

    Args:
        source: Hugging Face id, or another name that the catalogue has for it.
        files: What of it is fetched, as patterns; parts that none of them names do not count.
        dtype: Number format that it is used in; the usual one if None or not known.
    """
    entry = _entry(source)
    if entry is None:
        return ModelFacts(source)
    stored = entry.get("stored")
    wanted = dtype if dtype in BYTES else entry.get("loaded", stored)
    parts = _parts(entry["parts"], tuple(files))
    fetched = {part: entry.get("stored_in", {}).get(part, stored) for part in parts}
    largest = max(parts.values())
    return ModelFacts(
        source=entry["source"],
        licence=entry.get("licence"),
        licence_page=entry.get("licence_page", f"https://huggingface.co/{entry['source']}"),
        gated=entry.get("gated"),
        download_gb=_size((size, fetched[part]) for part, size in parts.items()),
        gpu_gb=_size(((size, wanted) for size in parts.values()), WORKING_SHARE),
        largest_gb=_size([(largest, wanted)], WORKING_SHARE),
        note=entry.get("note", ""),
    )


def _size(parts: Iterable[tuple[int, str | None]], share: float = 1.0) -> float | None:
    """Gigabytes of parameters in their formats; None if a format is not known."""
    total = 0.0
    for parameters, kind in parts:
        if kind is None:
            return None
        total += parameters * BYTES[kind]
    return round(total * share / _GB, 2)


def _parts(parts: Mapping[str, int], files: tuple[str, ...]) -> Mapping[str, int]:
    """The parts that file patterns reach; all of them when no pattern names a folder."""
    folders = [pattern.partition("/")[0] for pattern in files if "/" in pattern]
    chosen = {
        part: size
        for part, size in parts.items()
        if any(fnmatch(part, folder) for folder in folders)
    }
    return chosen or parts


def _entry(name: str) -> dict[str, Any] | None:
    repo = name.partition("@")[0]
    found = (entry for entry in _entries() if repo in (entry["source"], *entry.get("also", ())))
    return next(found, None)


@cache
def _entries() -> list[dict[str, Any]]:
    text = resources.files("advgen").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return read_toml(text)["model"]
