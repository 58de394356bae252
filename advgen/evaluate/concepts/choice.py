"""Which words are said of an image, and in which order."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

NOTHING = -1
"""Stands where no word is left to say."""


def best_words(weights: Float[Tensor, "image word"], count: int) -> Int[Tensor, "image rank"]:
    """The words of largest positive weight, best first; ties go to the earlier word.

    Args:
        weights: Of every word for every image.
        count: How many words are wanted at most.

    Returns:
        Numbers of the words; `NOTHING` where fewer have a weight above 0.
    """
    best = torch.argsort(weights, dim=1, descending=True, stable=True)[:, :count]
    return best.where(weights.gather(1, best) > 0, NOTHING)


def spread_words(
    images: Float[Tensor, "image embed"],
    words: Float[Tensor, "word embed"],
    count: int,
    share: float,
) -> Int[Tensor, "image rank"]:
    """Words chosen one after another, a share of each taken off the image before the next.

    Matching pursuit with a step of `share` (Mallat and Zhang 1993): with 0 it is `best_words` of
    the inner products; with 1 all that a word explains is gone, and with it its synonyms. Words
    that do not speak for the image itself are never chosen.

    Differs from the paper: it takes the ten largest weights.

    Args:
        images: What the words are to describe, without what all images share.
        words: Their directions, of any length.
        count: How many words are wanted at most.
        share: In [0, 1].

    Returns:
        Numbers of the words; `NOTHING` where none speaks for what is left.
    """
    units = words / words.norm(dim=1, keepdim=True).clamp_min(1e-12)
    left = images.to(units)
    never = left @ words.T <= 0
    chosen = []
    for _ in range(min(count, len(words))):
        scores = (left @ words.T).masked_fill(never, 0.0)
        value, number = scores.max(dim=1)
        some = value > 0
        chosen.append(number.where(some, NOTHING))
        never.scatter_(1, number[:, None], True)
        along = (left * units[number]).sum(dim=1) * some
        left = left - share * along[:, None] * units[number]
    return torch.stack(chosen, dim=1)
