"""The describer that needs no language model: sentence patterns filled with mined words."""

from __future__ import annotations

import random

from advgen.chat import ListReply
from advgen.english import looks_plural, with_article
from advgen.generation.protocols import DescribeRequest
from advgen.prompts import prompt_revision, prompt_text
from advgen.toml import read_toml

_PATTERNS = "sentences.toml"
_QUALITY_ENDINGS = ("ing", "ed", "ful", "ous", "ish", "less", "ive", "ical", "able", "ly", "y")
MIN_WORDS, MAX_WORDS = 2, 4


class TemplateDescriber:
    """Writes sentences with two to four of the mined words, without knowing which can be drawn.

    Words are told apart by their endings only (`furry` reads like a quality, `antlers` like a
    thing), as rough as that is: what matters is that the sentence names the true class and the
    words.
    """

    name = "template"

    def __init__(self) -> None:
        self.revision = prompt_revision(_PATTERNS)
        self._patterns: list[str] = read_toml(prompt_text(_PATTERNS))["patterns"]

    def describe(self, request: DescribeRequest) -> ListReply:
        """See `Describer.describe`; `known` and `examples` make no difference here."""
        rng = random.Random(request.seed)
        return ListReply(tuple(self._sentence(rng, request) for _ in range(request.count)), ())

    def close(self) -> None:
        """There is nothing to let go of."""

    def _sentence(self, rng: random.Random, request: DescribeRequest) -> str:
        count = min(rng.randint(MIN_WORDS, MAX_WORDS), len(request.words))
        words = rng.sample(request.words, count)
        qualities = [word for word in words if reads_like_quality(word)][:2]
        things = [word for word in words if word not in qualities]
        fitting = [
            pattern
            for pattern in self._patterns
            if ("{mood}" in pattern) == bool(qualities) and ("{things}" in pattern) == bool(things)
        ]
        subject = with_article(request.pair.true_class)
        if not fitting:
            return subject
        return rng.choice(fitting).format(
            subject=subject,
            things=_enumerate(
                [word if looks_plural(word) else with_article(word) for word in things]
            ),
            mood=" and ".join(qualities),
        )


def reads_like_quality(word: str) -> bool:
    """True for words whose ending is that of an adjective or participle more often than not."""
    return len(word) > 4 and word.endswith(_QUALITY_ENDINGS)


def _enumerate(phrases: list[str]) -> str:
    if len(phrases) < 2:
        return "".join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]
