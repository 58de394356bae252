"""The ways of finding spurious words: the paper's, and the baselines it is measured against."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.mining.evidence import Evidence
from advgen.records import ClassPair, MinedWord

USES_NEURONS = frozenset({"second-order", "random"})
"""Methods that look at second-order directions."""

USES_CHANCE = frozenset({"random", "random-words"})
"""Methods that draw; the others find the same words in every repeat."""
USES_INDIRECT = frozenset({"indirect"})
"""Methods that look at directions of indirect effects."""


@runtime_checkable
class Method(Protocol):
    """Ranks the pool's words for a contrast v, best first."""

    def __call__(
        self,
        evidence: Evidence,
        pair: ClassPair,
        contrast: Float[Tensor, " embed"],
        generator: torch.Generator,
    ) -> list[MinedWord]:
        """Words that speak for the target class.

        Args:
            evidence: What is known of the attacked model.
            pair: The classes.
            contrast: v = M_text(target class) - M_text(true class).
            generator: The only source of chance.
        """
        ...


def second_order(
    evidence: Evidence,
    pair: ClassPair,
    contrast: Float[Tensor, " embed"],
    generator: torch.Generator,
) -> list[MinedWord]:
    """The paper's: words of the neurons that speak most for the contrast (Sec. 5.1, Eq. 6)."""
    return evidence.words_of(evidence.choose(contrast), pair, contrast)


def random_neurons(
    evidence: Evidence,
    pair: ClassPair,
    contrast: Float[Tensor, " embed"],
    generator: torch.Generator,
) -> list[MinedWord]:
    """Baseline of Table 3: words of as many neurons drawn by chance, whatever the choice is."""
    order = torch.randperm(len(evidence.neurons), generator=generator)
    return evidence.words_of(order[: evidence.count].tolist(), pair, contrast)


def indirect(
    evidence: Evidence,
    pair: ClassPair,
    contrast: Float[Tensor, " embed"],
    generator: torch.Generator,
) -> list[MinedWord]:
    """Baseline of Table 3: as `second_order`, with the directions of indirect effects.

    Raises:
        ValueError: If the evidence has no such directions.
    """
    if evidence.indirect is None:
        raise ValueError("expected directions of indirect effects; got none")
    return second_order(evidence.indirect, pair, contrast, generator)


def similar_words(
    evidence: Evidence,
    pair: ClassPair,
    contrast: Float[Tensor, " embed"],
    generator: torch.Generator,
) -> list[MinedWord]:
    """Baseline of Table 3: the pool's words most similar to v by embedding; no neuron is used."""
    direction = contrast / contrast.norm().clamp_min(1e-12)
    return _ranked(evidence, evidence.encoded.embeddings @ direction)


def random_words(
    evidence: Evidence,
    pair: ClassPair,
    contrast: Float[Tensor, " embed"],
    generator: torch.Generator,
) -> list[MinedWord]:
    """Sanity row: words by chance, with scores that mean nothing."""
    return _ranked(evidence, torch.rand(len(evidence.encoded.pool.texts), generator=generator))


def _ranked(evidence: Evidence, scores: Float[Tensor, " atom"]) -> list[MinedWord]:
    texts = evidence.encoded.pool.texts
    order = torch.argsort(scores, descending=True, stable=True)
    return [MinedWord(texts[number], scores[number].item()) for number in order.tolist()]
