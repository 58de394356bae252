"""How many of the first words found for an image are true of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def right_words(
    texts: Sequence[str], true_of: Sequence[Collection[str]]
) -> Bool[Tensor, "image word"]:
    """Which texts of a pool are true of each image.

    Args:
        texts: The pool.
        true_of: Per image, the texts that are; those that are not in the pool are ignored.
    """
    number = {text: position for position, text in enumerate(texts)}
    right = torch.zeros(len(true_of), len(texts), dtype=torch.bool)
    for row, words in zip(right, true_of, strict=True):
        row[[number[word] for word in words if word in number]] = True
    return right


def best_hits(
    scores: Float[Tensor, "image word"], right: Bool[Tensor, "image word"], depth: int
) -> Bool[Tensor, "image rank"]:
    """Whether each of an image's `depth` best words is right; ties go to the earlier word.

    A place that is left empty, because fewer words have a score above 0, counts as wrong: saying
    nothing is no way to be right.

    Args:
        scores: Words that were not found have 0 or less.
        right: See `right_words`.
        depth: How many words are looked at.

    Raises:
        ValueError: If `depth` is not between 1 and the number of words.
    """
    if not 1 <= depth <= scores.shape[1]:
        raise ValueError(f"expected 1 to {scores.shape[1]} words; got {depth}")
    best = torch.argsort(scores, dim=1, descending=True, stable=True)[:, :depth]
    return right.gather(1, best) & (scores.gather(1, best) > 0)


def precision_at(
    scores: Float[Tensor, "image word"], right: Bool[Tensor, "image word"], k: int
) -> Float[Tensor, " image"]:
    """Precision@k: the share of the k best words that are right, see `best_hits`.

    Args:
        scores: As for `best_hits`.
        right: See `right_words`.
        k: How many words count.

    Raises:
        ValueError: If k is not between 1 and the number of words.
    """
    return best_hits(scores, right, k).double().mean(dim=1)


def chance_precision(right: Bool[Tensor, "image word"]) -> Float[Tensor, " image"]:
    """What words drawn at random have on average: the share of the pool that is right."""
    return right.double().mean(dim=1)


def recall_at(
    scores: Float[Tensor, "image word"],
    groups: Sequence[Sequence[Collection[int]]],
    k: int,
) -> Float[Tensor, " image"]:
    """Recall@k of things: the share of an image's things that one of the k best words names.

    Args:
        scores: As for `precision_at`.
        groups: Per image, for every thing in it, the numbers of the words that name it.
        k: How many words count.

    Raises:
        ValueError: If an image has no thing.
    """
    best = torch.argsort(scores, dim=1, descending=True, stable=True)[:, :k]
    found: list[float] = []
    for row, chosen, things in zip(scores, best, groups, strict=True):
        if not things:
            raise ValueError("expected at least one thing in every image; got none")
        said = {int(number) for number in chosen if row[number] > 0}
        found.append(sum(bool(said.intersection(thing)) for thing in things) / len(things))
    return torch.tensor(found, dtype=torch.float64)
