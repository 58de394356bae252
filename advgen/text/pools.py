"""Pools: the texts that a neuron may be described with."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import wordfreq

from advgen import registry
from advgen.errors import ConfigError, DataError

_FREQUENT = re.compile(r"words-(\d+)(k?)")


@dataclass(frozen=True, slots=True)
class TextPool:
    """A named, ordered list of distinct texts.

    Attributes:
        name: What the user called it.
        texts: The texts, each once.
        notes: What was left out while reading (line numbers), for the user to see.
    """

    name: str
    texts: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def sha256(self) -> str:
        """Digest of the texts in order."""
        return hashlib.sha256("\n".join(self.texts).encode()).hexdigest()


def load_pool(spec: str) -> TextPool:
    """Find a pool by name.

    Args:
        spec: A registered pool (`sandbox`), `words-N` or `words-Nk` (the N most frequent English
            words of the wordfreq package), or the path of a UTF-8 text file with one text per line.

    Raises:
        ConfigError: If it is none of these.
        DataError: If the file cannot be read or holds no text.
    """
    if spec in registry.names("pool"):
        make: Callable[[], list[str]] = registry.resolve("pool", spec)
        return TextPool(spec, tuple(make()))
    frequent = _FREQUENT.fullmatch(spec)
    if frequent:
        count = int(frequent[1]) * (1000 if frequent[2] else 1)
        return TextPool(spec, tuple(_frequent_words(count)))
    if Path(spec).is_file():
        return read_pool_file(Path(spec))
    known = ", ".join([*registry.names("pool"), "words-N", "a text file"])
    raise ConfigError(f"'{spec}' is not a text pool and no file has that name; choose {known}")


def read_pool_file(path: Path) -> TextPool:
    """Read one text per line; undecodable, blank and repeated lines are left out and noted.

    Raises:
        DataError: If the file cannot be read or no text is left.
    """
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise DataError(f"cannot read the text pool {path}: {error}") from error
    if lines and not lines[-1].strip():
        lines.pop()
    first_seen: dict[str, int] = {}
    notes: list[str] = []
    for number, line in enumerate(lines, start=1):
        try:
            text = " ".join(line.decode("utf-8").split())
        except UnicodeDecodeError:
            notes.append(f"line {number}: not UTF-8, left out")
            continue
        if not text:
            notes.append(f"line {number}: blank, left out")
        elif text in first_seen:
            notes.append(f"line {number}: repeats line {first_seen[text]}, left out")
        else:
            first_seen[text] = number
    if not first_seen:
        raise DataError(f"the text pool {path} holds no text; write one text per line")
    return TextPool(str(path), tuple(first_seen), tuple(notes))


def _frequent_words(count: int) -> list[str]:
    """The most frequent English words of two letters or more (wordfreq mixes in numbers, marks)."""
    if count < 1:
        raise ConfigError("a words-N pool needs N of at least 1")
    words = [word for word in wordfreq.iter_wordlist("en") if word.isalpha() and len(word) > 1]
    if count > len(words):
        raise ConfigError(f"wordfreq knows {len(words)} English words; ask for no more than that")
    return words[:count]
