"""From neuron directions and their words to words that speak for the target class (Eq. 6)."""

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


def code_terms(
    codes: SparseCodes, alignment: Float[Tensor, " neuron"], atoms: int
) -> Float[Tensor, "neuron atom"]:
    """The terms of Eq. 6, `gamma_j^n <v, r_n>`; their sum over the chosen neurons is w_j.

    Args:
        codes: Codes gamma of the chosen neurons.
        alignment: `<v, r_n>` of the same neurons.
        atoms: Size of the pool.

    Raises:
        ValueError: If there are more or fewer codes than alignments.
    """
    if len(codes.indices) != len(alignment):
        raise ValueError(f"expected as many codes as alignments; got {len(codes.indices)} codes")
    return alignment[:, None] * codes.dense(atoms).to(alignment.dtype)


def projection_terms(
    atoms: Float[Tensor, "atom embed"],
    directions: Float[Tensor, "neuron embed"],
    alignment: Float[Tensor, " neuron"],
) -> Float[Tensor, "neuron atom"]:
    """The terms `<t_j, r_n> <v, r_n>`, whose sum over the chosen neurons is `t_j R^T R v`.

    Args:
        atoms: t_j, the pool's embeddings as they are treated for a decomposition.
        directions: R, the directions of the chosen neurons.
        alignment: `R v`.
    """
    return alignment[:, None] * (directions @ atoms.to(directions).T)


def rank_words(
    terms: Float[Tensor, "neuron atom"], neurons: Sequence[Neuron], texts: Sequence[str]
) -> list[MinedWord]:
    """Words with a positive sum of terms, best first, each with the neurons that add most to it.

    Args:
        terms: What each chosen neuron adds to each word's score.
        neurons: Who they are.
        texts: The pool.
    """
    scores = terms.sum(dim=0)
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[scores[order] > 0]
    columns = terms[:, order]
    behind = columns.abs().argsort(dim=0, descending=True, stable=True)[:BEHIND_A_WORD]
    shares: list[list[float]] = columns.gather(0, behind).T.tolist()
    numbers: list[int] = order.tolist()
    values: list[float] = scores[order].tolist()
    ranked = []
    for number, value, column, parts in zip(
        numbers, values, behind.T.tolist(), shares, strict=True
    ):
        shown = zip(column, parts, strict=True)
        named = tuple(NeuronShare(neurons[n], part) for n, part in shown if part != 0)
        ranked.append(MinedWord(texts[number], value, named))
    return ranked
