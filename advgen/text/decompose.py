"""Neuron directions written as words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.models import ClipModel
from advgen.text.atoms import make_atoms
from advgen.text.pools import TextPool
from advgen.text.sparse import Solver, SparseCodes

TEXT_BATCH = 256
SAME = 1e-5


@dataclass(frozen=True, slots=True)
class EncodedPool:
    """A pool with its texts' embeddings in a CLIP's joint space.

    Attributes:
        pool: The texts.
        embeddings: Float [atom, embed], unit norm.
    """

    pool: TextPool
    embeddings: Float[Tensor, "atom embed"]


def encode_pool(clip: ClipModel, pool: TextPool) -> EncodedPool:
    """Encode every text of a pool as it stands; texts that the CLIP cannot tell apart stay once.

    A text tower with a small vocabulary gives many unknown words one embedding; as duplicates they
    could never be told apart by a decomposition, so all but the first are left out and noted.
    """
    texts = list(pool.texts)
    rows = [
        clip.encode_text(texts[start : start + TEXT_BATCH]).float().cpu()
        for start in range(0, len(texts), TEXT_BATCH)
    ]
    embeddings = torch.cat(rows)
    keep = _distinct(embeddings)
    if len(keep) == len(texts):
        return EncodedPool(pool, embeddings)
    note = f"{len(texts) - len(keep)} texts share another text's embedding and were left out"
    kept = TextPool(pool.name, tuple(texts[number] for number in keep), (*pool.notes, note))
    return EncodedPool(kept, embeddings[keep])


def decompose(
    directions: Float[Tensor, "neuron embed"],
    encoded: EncodedPool,
    solver: Solver,
    *,
    nonzeros: int,
    atoms: str = "unit",
) -> SparseCodes:
    """Sparse codes of neuron directions: r_n is close to sum_j gamma_j^n t_j (paper Sec. 4.2).

    Atoms are chosen in float64, so that every solver finds the same ones.

    Args:
        directions: Unit directions r_n.
        encoded: The pool.
        solver: What finds the codes.
        nonzeros: Words per neuron (m); cut to what the pool and the space allow.
        atoms: Treatment of the embeddings.
    """
    dictionary = make_atoms(encoded.embeddings, atoms).double()
    return solver.solve(directions.double(), dictionary, min(nonzeros, *dictionary.shape))


def signed_words(codes: SparseCodes, target: int, texts: Sequence[str]) -> list[tuple[str, float]]:
    """The words of one neuron with their coefficients, largest magnitude first."""
    indices: list[int] = codes.indices[target].tolist()
    values: list[float] = codes.values[target].tolist()
    pairs = zip(indices, values, strict=True)
    return [(texts[index], value) for index, value in pairs if index >= 0]


def _distinct(embeddings: Float[Tensor, "atom embed"]) -> list[int]:
    """Numbers of the rows that lie further than `SAME` from every earlier row, ascending.

    Rows are sorted along one axis, on which equal rows are neighbours up to rounding; rounding the
    rows themselves would cut some equal ones apart, since batches of unequal size round unequally.
    """
    axis = torch.randn(embeddings.shape[1], generator=torch.Generator().manual_seed(0))
    shadows = (embeddings @ (axis / axis.norm())).tolist()
    first: dict[int, int] = {}
    groups: list[int] = []
    for number in sorted(range(len(shadows)), key=shadows.__getitem__):
        near = itertools.takewhile(
            lambda group, at=shadows[number]: at - shadows[group] <= SAME, reversed(groups)
        )
        group = next(
            (group for group in near if torch.dist(embeddings[group], embeddings[number]) <= SAME),
            None,
        )
        if group is None:
            groups.append(number)
            group = number
        first[group] = min(first.get(group, number), number)
    return sorted(first.values())
