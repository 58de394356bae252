"""What is written about a neuron: its numbers, its signed words, how many concepts they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.attack.progress import Progress
from advgen.neurons.catalogue import Catalogue, rows_of
from advgen.records import Neuron
from advgen.text import EncodedPool, Solver, SparseCodes, decompose, make_atoms, signed_words

CHUNK = 128


@dataclass(frozen=True, slots=True)
class SignedWord:
    """A word of a neuron's sparse code and its coefficient gamma."""

    word: str
    coefficient: float


@dataclass(frozen=True, slots=True)
class NeuronFacts:
    """One neuron in numbers and words; norms are in the units of the image embedding.

    Attributes:
        neuron: Which one.
        explained_variance: Share of the top images' variance along r_n, in [0, 1].
        norm_threshold: Bound between small and large effects: the smallest norm of the top images.
        norm_quantile: 98th percentile of the norm over the image set.
        largest_norm: Norm of the largest effect.
        words: The sparse code of r_n, largest magnitude first.
        concepts: See `concept_count`.
    """

    neuron: Neuron
    explained_variance: float
    norm_threshold: float
    norm_quantile: float
    largest_norm: float
    words: tuple[SignedWord, ...]
    concepts: float


def describe_neurons(
    catalogue: Catalogue,
    chosen: Sequence[Neuron],
    encoded: EncodedPool,
    solver: Solver,
    progress: Progress,
    *,
    words: int | None = None,
) -> list[NeuronFacts]:
    """Numbers and signed words of neurons (paper Sec. 4.2, Tables 2 and 5).

    Args:
        catalogue: Where their directions are, and the text settings (non-zeros, atoms).
        chosen: Neurons of the catalogue's layers.
        encoded: The text pool.
        solver: Finds sparse codes.
        progress: Advanced by the number of neurons described.
        words: Words kept per neuron at most; all of the code if None.
    """
    text = catalogue.config.text
    centred = make_atoms(encoded.embeddings, "centered-unit")
    facts: list[NeuronFacts] = []
    for part in _chunks(chosen):
        directions = rows_of(catalogue, part, "direction")
        codes = decompose(directions, encoded, solver, nonzeros=text.nonzeros, atoms=text.atoms)
        facts += [
            plain_facts(
                catalogue, neuron, signed_words(codes, row, encoded.pool.texts)[:words], count
            )
            for row, (neuron, count) in enumerate(
                zip(part, concept_counts(codes, centred), strict=True)
            )
        ]
        progress.advance(len(part))
    return facts


def plain_facts(
    catalogue: Catalogue,
    neuron: Neuron,
    words: Sequence[tuple[str, float]] = (),
    concepts: float = 0.0,
) -> NeuronFacts:
    """The stored numbers of a neuron, with the words found for it."""
    layer = catalogue.directions[neuron.layer]
    return NeuronFacts(
        neuron=neuron,
        explained_variance=layer.explained_variance[neuron.index].item(),
        norm_threshold=layer.norm_threshold[neuron.index].item(),
        norm_quantile=layer.norm_quantile[neuron.index].item(),
        largest_norm=layer.top_norms[neuron.index, 0].item(),
        words=tuple(SignedWord(word, value) for word, value in words),
        concepts=concepts,
    )


def concept_count(
    weights: Float[Tensor, " word"], embeddings: Float[Tensor, "word embed"]
) -> float:
    """How many unrelated concepts some weighted words stand for: 1 / sum_jk p_j p_k s_jk.

    p are the weights' shares and s the words' cosines, negative ones counted as 0: the number of
    equally strong, mutually orthogonal words that are as diverse (Leinster and Cobbold's
    similarity-sensitive diversity of order 2). A neuron of one meaning has 1.

    Differs from the paper: Table 5 shows by example that a neuron has several unrelated meanings
    and gives no number.

    Args:
        weights: Positive weights.
        embeddings: Unit rows, the pool's mean taken off: without it every two texts look alike.

    Returns:
        A number from 1 to the number of words; 0 without words.
    """
    if not len(weights):
        return 0.0
    share = weights.double() / weights.double().sum()
    rows = embeddings.double()
    similar = (rows @ rows.T).clamp_min(0).fill_diagonal_(1.0)
    return (1.0 / (share @ similar @ share)).item()


def concept_counts(codes: SparseCodes, centred: Float[Tensor, "atom embed"]) -> Iterator[float]:
    """`concept_count` over the positive words of every code: what the neuron speaks for."""
    for row in codes.dense(len(centred)):
        positive = torch.nonzero(row > 0)[:, 0]
        yield concept_count(row[positive], centred[positive])


def _chunks(chosen: Sequence[Neuron]) -> Iterator[Sequence[Neuron]]:
    for start in range(0, len(chosen), CHUNK):
        yield chosen[start : start + CHUNK]
