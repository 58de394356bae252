"""Checking sentences that a describer wrote: what may be drawn, and why the rest may not."""

from __future__ import annotations

from collections.abc import Iterable

from advgen.english import mentions, names, words_of
from advgen.records import ClassPair, Description

MAX_WORDS = 40


def check_reply(
    text: str,
    *,
    id: str,
    pair: ClassPair,
    words: Iterable[str],
    target_synonyms: Iterable[str],
    seen: frozenset[str] = frozenset(),
) -> Description:
    """Decide whether a sentence may be drawn.

    Words are compared whole and inflected, never as substrings: `caterpillar` does not name a cat.
    The target class must not occur inside a hyphenated word either (`deer-like`).

    Args:
        text: The sentence.
        id: Identifier of the resulting description.
        pair: The class that must be named and the class that must not.
        words: The mined words; those that occur are recorded.
        target_synonyms: Other nouns that name the target class.
        seen: Sentences accepted before, lower case.

    Returns:
        The description; `reason` is `empty`, `too_long`, `duplicate`, `missing_true_class`,
        `names_target_class`, `synonym_of_target` or None.
    """
    clean = " ".join(text.split())
    tokens = words_of(clean)
    used = tuple(word for word in words if mentions(tokens, word))
    reason = _fault(clean, tokens, pair, target_synonyms, seen)
    return Description(id=id, text=clean, words=used, reason=reason)


def _fault(
    clean: str,
    tokens: list[str],
    pair: ClassPair,
    target_synonyms: Iterable[str],
    seen: frozenset[str],
) -> str | None:
    if not tokens:
        return "empty"
    if len(tokens) > MAX_WORDS:
        return "too_long"
    if clean.lower() in seen:
        return "duplicate"
    if not mentions(tokens, pair.true_class):
        return "missing_true_class"
    if names(clean, pair.target_class):
        return "names_target_class"
    if any(names(clean, synonym) for synonym in target_synonyms):
        return "synonym_of_target"
    return None
