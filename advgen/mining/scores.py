"""Eq. 6: from neuron directions and their words to words that speak for the target class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.records import MinedWord, Neuron, NeuronShare
from advgen.text.sparse import SparseCodes

BEHIND_A_WORD = 8


def alignments(
    directions: Float[Tensor, "neuron embed"], contrast: Float[Tensor, " embed"]
) -> Float[Tensor, " neuron"]:
    """`<v, r_n>` for every neuron, v = M_text(target class) - M_text(true class) (Sec. 5.1)."""
    return directions @ contrast


def strongest(values: Float[Tensor, " neuron"], count: int) -> Int[Tensor, " chosen"]:
    """Positions of the `count` largest magnitudes, largest first; ties go to the lower position."""
    order = torch.argsort(values.abs(), descending=True, stable=True)
    return order[:count]


def word_scores(
    codes: SparseCodes, alignment: Float[Tensor, " neuron"], atoms: int
) -> Float[Tensor, " atom"]:
    """Eq. 6: `w_j = sum over the chosen neurons of gamma_j^n <v, r_n>`.

    Args:
        codes: Codes gamma of the chosen neurons.
        alignment: `<v, r_n>` of the same neurons.
        atoms: Size of the pool.
    """
    if len(codes.indices) != len(alignment):
        raise ValueError(f"{len(codes.indices)} codes but {len(alignment)} alignments")
    return alignment @ codes.dense(atoms).to(alignment.dtype)


def rank_words(
    codes: SparseCodes,
    alignment: Float[Tensor, " neuron"],
    neurons: Sequence[Neuron],
    texts: Sequence[str],
) -> list[MinedWord]:
    """Words with a positive score, best first, each with the neurons that speak most for it.

    Args:
        codes: Codes of the chosen neurons.
        alignment: `<v, r_n>` of the same neurons.
        neurons: Who they are.
        texts: The pool.
    """
    scores = word_scores(codes, alignment, len(texts))
    terms = alignment[:, None] * codes.dense(len(texts)).to(alignment.dtype)
    order = torch.argsort(scores, descending=True, stable=True)
    ranked = []
    for number in map(int, order[scores[order] > 0]):
        column = terms[:, number]
        behind: list[int] = strongest(column, BEHIND_A_WORD).tolist()
        shares = tuple(NeuronShare(neurons[n], column[n].item()) for n in behind if column[n] != 0)
        ranked.append(MinedWord(texts[number], scores[number].item(), shares))
    return ranked
