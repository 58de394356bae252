"""Checking sentences that a describer wrote: what may be drawn, and why the rest may not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

from advgen.english import mentions, names, words_of
from advgen.records import ClassPair, Description

MAX_WORDS = 40
_RECORDED = 400
_ENGLISH = re.compile(
    r"\b(?:a|above|along|among|an|and|are|around|at|behind|beside|between|by|during|from|in|into|is|"
    r"its|near|next|of|on|onto|over|the|through|to|under|while|with|without)\b"
)
_FOREIGN = re.compile(
    r"\b(?:au|aux|avec|bei|con|dans|das|de|del|dem|den|der|des|di|du|een|ein|eine|einem|einen|einer|"
    r"el|en|es|et|f\u00fcr|het|i|il|im|junto|la|las|le|les|lo|los|met|mit|na|neben|och|og|op|ou|para|"
    r"pr\u00e8s|sur|um|una|und|une|un|unter|uno|van|vor|w|y|z|zwischen)\b"
)


def check_reply(
    text: str,
    *,
    id: str,
    pair: ClassPair,
    words: Iterable[str],
    target_synonyms: Iterable[str],
    seen: Collection[str] = frozenset(),
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
        seen: Sentences accepted before, each as `spelling` gives it.

    Returns:
        The description; `reason` is `empty`, `too_long`, `not_english`, `duplicate`,
        `missing_true_class`, `names_target_class`, `synonym_of_target` or None.
    """
    clean = " ".join(text.split())
    if len(clean) > _RECORDED:
        return Description(id=id, text=for_record(clean), words=(), reason="too_long")
    tokens = words_of(clean)
    used = tuple(word for word in words if mentions(tokens, word))
    reason = _fault(clean, tokens, pair, target_synonyms, seen)
    return Description(id=id, text=clean, words=used, reason=reason)


def reads_like_english(text: str) -> bool:
    """False for texts in other scripts, and for those with more foreign than English small words.

    A rough test: what it is for is that no sentence names the target class in another language.
    """
    if any(letter.isalpha() and "LATIN" not in unicodedata.name(letter, "") for letter in text):
        return False
    low = text.lower()
    foreign = len(_FOREIGN.findall(low))
    return foreign < 2 or foreign <= len(_ENGLISH.findall(low))


def spelling(text: str) -> str:
    """The form in which sentences are compared: lower case, single spaces, no stop at the end."""
    return " ".join(text.lower().split()).rstrip(".! ")


def for_record(text: str) -> str:
    """A text on one line, cut where it is longer than any sentence that may be drawn."""
    clean = " ".join(text[: 4 * _RECORDED].split())
    return clean if len(clean) <= _RECORDED else clean[: _RECORDED - 3] + "..."


def _fault(
    clean: str,
    tokens: list[str],
    pair: ClassPair,
    target_synonyms: Iterable[str],
    seen: Collection[str],
) -> str | None:
    if not tokens:
        return "empty"
    if len(tokens) > MAX_WORDS:
        return "too_long"
    if not reads_like_english(clean):
        return "not_english"
    if spelling(clean) in seen:
        return "duplicate"
    if not mentions(tokens, pair.true_class):
        return "missing_true_class"
    if names(clean, pair.target_class):
        return "names_target_class"
    if any(names(clean, synonym) for synonym in target_synonyms):
        return "synonym_of_target"
    return None
