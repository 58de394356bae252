"""The ways of finding spurious words: the paper's, and the baselines it is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.mining.scores import alignments, rank_words, strongest
from advgen.records import MinedWord, Neuron
from advgen.text.decompose import EncodedPool, decompose
from advgen.text.sparse import Solver


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the attacked model before words are mined.

    Attributes:
        neurons: The neurons of the chosen layers.
        directions: Float [neuron, embed], unit norm, in the order of `neurons`.
        encoded: The text pool in the joint space.
        solver: Finds sparse codes.
        nonzeros: Words per neuron (m).
        atoms: Treatment of the pool's embeddings.
        count: How many neurons are chosen.
    """

    neurons: Sequence[Neuron]
    directions: Float[Tensor, "neuron embed"]
    encoded: EncodedPool
    solver: Solver
    nonzeros: int
    atoms: str
    count: int

    def words_of(self, chosen: list[int], contrast: Float[Tensor, " embed"]) -> list[MinedWord]:
        """Eq. 6 over the chosen neurons."""
        directions = self.directions[chosen]
        codes = decompose(
            directions, self.encoded, self.solver, nonzeros=self.nonzeros, atoms=self.atoms
        )
        neurons = [self.neurons[position] for position in chosen]
        return rank_words(codes, alignments(directions, contrast), neurons, self.encoded.pool.texts)


USES_NEURONS = frozenset({"second-order", "random"})
"""Methods that look at neuron directions; the others need the text pool only."""


@runtime_checkable
class Method(Protocol):
    """Ranks the pool's words for a contrast v, best first."""

    def __call__(
        self, evidence: Evidence, contrast: Float[Tensor, " embed"], generator: torch.Generator
    ) -> list[MinedWord]:
        """Words that speak for the target class; `generator` is the only source of chance."""
        ...


def second_order(
    evidence: Evidence, contrast: Float[Tensor, " embed"], generator: torch.Generator
) -> list[MinedWord]:
    """The paper's: Eq. 6 over the neurons with the largest |<v, r_n>|."""
    chosen = strongest(alignments(evidence.directions, contrast), evidence.count)
    return evidence.words_of(chosen.tolist(), contrast)


def random_neurons(
    evidence: Evidence, contrast: Float[Tensor, " embed"], generator: torch.Generator
) -> list[MinedWord]:
    """Baseline of Table 3: Eq. 6 over as many neurons chosen by chance."""
    order = torch.randperm(len(evidence.neurons), generator=generator)
    return evidence.words_of(order[: evidence.count].tolist(), contrast)


def similar_words(
    evidence: Evidence, contrast: Float[Tensor, " embed"], generator: torch.Generator
) -> list[MinedWord]:
    """Baseline of Table 3: the pool's words most similar to v by embedding; no neuron is used."""
    direction = contrast / contrast.norm().clamp_min(1e-12)
    return _ranked(evidence, evidence.encoded.embeddings @ direction)


def random_words(
    evidence: Evidence, contrast: Float[Tensor, " embed"], generator: torch.Generator
) -> list[MinedWord]:
    """Sanity row: words by chance, with scores that mean nothing."""
    return _ranked(evidence, torch.rand(len(evidence.encoded.pool.texts), generator=generator))


def _ranked(evidence: Evidence, scores: Float[Tensor, " atom"]) -> list[MinedWord]:
    texts = evidence.encoded.pool.texts
    order = torch.argsort(scores, descending=True, stable=True)
    return [MinedWord(texts[number], scores[number].item()) for number in order.tolist()]
