"""Dropping mined words that name the target class: they would make the attack a tautology."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import islice
from pathlib import Path

from advgen.english import names
from advgen.errors import DataError
from advgen.mining.encoders import TextEncoder
from advgen.records import DroppedWord, MinedWord

_AT_ONCE = 64
_PACKAGED = "blocked.txt"


@dataclass(frozen=True, slots=True)
class TargetFilter:
    """Decides which words name the target class.

    Attributes:
        synonyms: Further nouns for a class, by class name.
        blocked: Words that must not be used against a class, by class name.
        encoder: Finds words that are like the class name; None: nobody looks.
        max_similarity: Cosine to the class name from which on a word is too much like it.
    """

    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blocked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    encoder: TextEncoder | None = None
    max_similarity: float = 0.6

    def nouns(self, target_class: str) -> tuple[str, ...]:
        """All nouns that name the class, itself first."""
        return (target_class, *self.synonyms.get(target_class, ()))

    def avoided(self, target_class: str) -> tuple[str, ...]:
        """All nouns that stand for the class besides its name, synonyms and blocked words."""
        return (*self.synonyms.get(target_class, ()), *self.blocked.get(target_class, ()))

    def verdicts(
        self, words: Sequence[str], target_class: str
    ) -> list[tuple[str | None, float | None]]:
        """Per word, why it must not be used against a class (or None) and its cosine to the class.

        Reasons are those of `reason`, or `similar_to_target` by the encoder (paper Sec. 5.1: cosine
        to the class name at or above 0.6), which is asked about words without another reason.
        """
        found: list[tuple[str | None, float | None]] = [
            (self.reason(word, target_class), None) for word in words
        ]
        left = [at for at, (reason, _) in enumerate(found) if reason is None]
        if self.encoder is None or not left:
            return found
        rows = self.encoder.encode([target_class, *(words[at] for at in left)])
        for at, cosine in zip(left, (rows[1:] @ rows[0]).tolist(), strict=True):
            if cosine >= self.max_similarity:
                found[at] = ("similar_to_target", cosine)
        return found

    def reason(self, word: str, target_class: str) -> str | None:
        """Why a word must not be used against a class by the lists of nouns, or None.

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
    for group in _groups(ranked, max(count, _AT_ONCE)):
        verdicts = words.verdicts([word.word for word in group], target_class)
        for word, (reason, similarity) in zip(group, verdicts, strict=True):
            if len(kept) == count:
                return tuple(kept), tuple(dropped)
            if reason is None:
                kept.append(word)
            else:
                dropped.append(DroppedWord(word.word, word.score, reason, similarity))
    return tuple(kept), tuple(dropped)


def packaged_block_list() -> dict[str, tuple[str, ...]]:
    """Other nouns for CIFAR-10's classes, for worlds that do not bring their own."""
    text = resources.files("advgen.mining").joinpath(_PACKAGED).read_text(encoding="utf-8")
    return parse_block_list(text, _PACKAGED)


def joined_block_lists(
    first: Mapping[str, tuple[str, ...]], second: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The words of both lists by class, each once."""
    return {
        name: tuple(dict.fromkeys((*first.get(name, ()), *second.get(name, ()))))
        for name in dict.fromkeys((*first, *second))
    }


def read_block_list(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a block list from a file, see `parse_block_list`.

    Raises:
        DataError: If the file cannot be read or is no block list.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the block list {path}: {error}") from error
    return parse_block_list(text, str(path))


def parse_block_list(text: str, name: str) -> dict[str, tuple[str, ...]]:
    """A block list: one class per line, `class: word, word`; `#` starts a comment.

    Args:
        text: The lines.
        name: What an error message calls them.

    Raises:
        DataError: If a line has no class or no colon (the line number is named).
    """
    blocked: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.split("#", 1)[0].strip()
        if not entry:
            continue
        label, colon, words = entry.partition(":")
        label = " ".join(label.lower().split())
        if not colon or not label:
            raise DataError(f"{name}, line {number}: expected 'class: word, word', got '{entry}'")
        entries = tuple(word.strip().lower() for word in words.split(",") if word.strip())
        blocked[label] = (*blocked.get(label, ()), *entries)
    return blocked


def _groups(ranked: Iterable[MinedWord], size: int) -> Iterator[list[MinedWord]]:
    words = iter(ranked)
    while group := list(islice(words, size)):
        yield group
