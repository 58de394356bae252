"""Dropping mined words that name the target class: they would make the attack a tautology."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from advgen.english import names
from advgen.errors import DataError
from advgen.records import DroppedWord, MinedWord


@dataclass(frozen=True, slots=True)
class TargetFilter:
    """Decides which words name the target class.

    Attributes:
        synonyms: Further nouns for a class, by class name.
        blocked: Words a user does not want for a class, by class name.
    """

    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blocked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def nouns(self, target_class: str) -> tuple[str, ...]:
        """All nouns that name the class, itself first."""
        return (target_class, *self.synonyms.get(target_class, ()))

    def reason(self, word: str, target_class: str) -> str | None:
        """Why a word must not be used against a class, or None.

        `target_class` (the name or an inflection, alone or inside a longer phrase),
        `synonym_of_target` or `blocked`.
        """
        if names(word, target_class):
            return "target_class"
        if any(names(word, noun) for noun in self.synonyms.get(target_class, ())):
            return "synonym_of_target"
        if any(names(word, noun) for noun in self.blocked.get(target_class, ())):
            return "blocked"
        return None


def keep_words(
    ranked: Iterable[MinedWord], target_class: str, words: TargetFilter, count: int
) -> tuple[tuple[MinedWord, ...], tuple[DroppedWord, ...]]:
    """The best `count` words that do not name the target class, and those dropped on the way.

    Args:
        ranked: Words, best first.
        target_class: The class that must not be named.
        words: The filter.
        count: Words to keep.
    """
    kept: list[MinedWord] = []
    dropped: list[DroppedWord] = []
    for word in ranked:
        if len(kept) == count:
            break
        reason = words.reason(word.word, target_class)
        if reason is None:
            kept.append(word)
        else:
            dropped.append(DroppedWord(word.word, word.score, reason))
    return tuple(kept), tuple(dropped)


def read_block_list(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a block list: one class per line, `class: word, word`; `#` starts a comment.

    Raises:
        DataError: If the file cannot be read or a line has no class or no colon (the line number
            is named).
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the block list {path}: {error}") from error
    blocked: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        name, colon, words = text.partition(":")
        name = " ".join(name.lower().split())
        if not colon or not name:
            raise DataError(f"{path}, line {number}: expected 'class: word, word', got '{text}'")
        entries = tuple(word.strip().lower() for word in words.split(",") if word.strip())
        blocked[name] = (*blocked.get(name, ()), *entries)
    return blocked
