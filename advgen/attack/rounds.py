"""The closed loop: what later rounds ask for, from what the model made of earlier ones.

Differs from the paper, which asks once. The number of images stays the same: a round draws its
share of the sentences, and the next one is asked for more around the words that worked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge

from advgen.config import AttackConfig
from advgen.records import Sample, WordList

MIN_WORDS = 3
"""Words that are left to a describer at least, so that sentences differ."""
MAX_EXAMPLES = 5
"""Sentences that a describer is shown."""
RIDGE = 1.0
"""Penalty of the regression: a word counts fully once about this many sentences use it."""


@dataclass(frozen=True, slots=True)
class Focus:
    """What a round is asked for.

    Attributes:
        words: Words to use, best first.
        examples: Sentences that worked, best first.
        spare: Words to fall back on where too few sentences can be made of `words`.
    """

    words: tuple[str, ...]
    examples: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()


def first_focus(words: WordList) -> Focus:
    """The first round knows nothing yet: all mined words."""
    return Focus(tuple(word.word for word in words.kept))


def next_focus(words: WordList, samples: Iterable[Sample]) -> Focus:
    """The better half of the mined words, and the sentences that worked best.

    What a word is worth is its coefficient in a ridge regression of the sentences' mean margins on
    the words that they use. Images that a judge looked at and did not verify do not count, or the
    loop would ask for pictures of the target class.

    Args:
        words: The mined words of a cell.
        samples: Its images of earlier rounds.
    """
    margins: dict[str, list[float]] = defaultdict(list)
    used: dict[str, tuple[str, ...]] = {}
    for sample in samples:
        if sample.verified or sample.p_true_present is None:
            margins[sample.description].append(sample.margin)
            used[sample.description] = sample.words
    if not margins:
        return first_focus(words)
    means = {text: sum(found) / len(found) for text, found in margins.items()}
    worth = word_worth([word.word for word in words.kept], used, means)
    ranked = sorted(worth, key=lambda word: -worth[word])
    best = sorted(means, key=lambda text: (-means[text], text))[:MAX_EXAMPLES]
    half = max(MIN_WORDS, (len(ranked) + 1) // 2)
    return Focus(tuple(ranked[:half]), tuple(best), tuple(ranked))


def word_worth(
    words: Sequence[str], used: Mapping[str, tuple[str, ...]], means: Mapping[str, float]
) -> dict[str, float]:
    """Ridge coefficient of every word for the margins of the sentences that use it.

    Args:
        words: Mined words, best first; a word that no sentence uses is worth 0.
        used: Words of each sentence.
        means: Mean margin of each sentence.
    """
    texts = list(means)
    uses = np.array([[word in used[text] for word in words] for text in texts], dtype=float)
    fitted = Ridge(alpha=RIDGE).fit(uses, [means[text] for text in texts])
    return dict(zip(words, np.ravel(fitted.coef_).tolist(), strict=True))


def images_per_sentence(config: AttackConfig) -> list[int]:
    """How many images each drawn sentence of a cell gets, by its number; zeros come last."""
    count, images = config.describe.descriptions, config.images
    return [images // count + (number < images % count) for number in range(count)]


def round_of(config: AttackConfig, number: int) -> int:
    """The round in which sentence `number` of a cell is asked for."""
    return number * config.describe.rounds // config.describe.descriptions


def sentences_in(config: AttackConfig, round: int) -> int:
    """How many sentences per cell a round asks for."""
    numbers = range(config.describe.descriptions)
    return sum(round_of(config, number) == round for number in numbers)
