"""How far reviewers agree: percent agreement, Cohen's and Fleiss' kappa, Krippendorff's alpha.

Only images with two votes or more count. "Cannot tell" is an answer of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from advgen.review.votes import Vote

QUESTIONS: dict[str, Callable[[Vote], Any]] = {
    "true class visible": lambda vote: vote.true_visible,
    "target class visible": lambda vote: vote.target_visible,
    "verdict": lambda vote: vote.status,
}
"""What is compared: the two questions, and the verdict that follows from them and the reasons."""


@dataclass(frozen=True, slots=True)
class QuestionAgreement:
    """Agreement on one question.

    Every measure but `percent` is None where all answers are the same: it has no value there.

    Attributes:
        question: Out of `QUESTIONS`.
        images: How many images have two votes or more.
        votes: How many votes those have.
        percent: Share of pairs of votes on the same image that agree, in [0, 1]; None: no pair.
        cohen: Cohen's kappa; None unless there are exactly two reviewers.
        fleiss: Fleiss' kappa; None unless every image has the same number of votes.
        alpha: Krippendorff's alpha, nominal.
        interval: 95 % bootstrap interval of alpha over images; None: not asked for.
    """

    question: str
    images: int
    votes: int
    percent: float | None
    cohen: float | None
    fleiss: float | None
    alpha: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement on every question, and who it is between."""

    reviewers: tuple[str, ...]
    questions: tuple[QuestionAgreement, ...]


def agreement_of(
    ballots: Sequence[Sequence[Vote]], resamples: int = 1000, seed: int = 0
) -> Agreement:
    """How far reviewers agree.

    Args:
        ballots: The standing votes of each image, at most one per reviewer.
        resamples: Bootstrap draws of the interval; 0: no interval.
        seed: Of the bootstrap.
    """
    double = [votes for votes in ballots if len(votes) >= 2]
    reviewers = tuple(sorted({vote.reviewer for votes in double for vote in votes}))
    questions = tuple(
        _question(name, answer, double, reviewers, resamples, seed)
        for name, answer in QUESTIONS.items()
    )
    return Agreement(reviewers, questions)


def _question(
    name: str,
    answer: Callable[[Vote], Any],
    ballots: Sequence[Sequence[Vote]],
    reviewers: Sequence[str],
    resamples: int,
    seed: int,
) -> QuestionAgreement:
    codes: dict[Any, int] = {}
    answers = [
        {vote.reviewer: codes.setdefault(answer(vote), len(codes)) for vote in votes}
        for votes in ballots
    ]
    counts = np.zeros((len(answers), len(codes)), dtype=np.int64)
    for row, said in zip(counts, answers, strict=True):
        np.add.at(row, list(said.values()), 1)
    return QuestionAgreement(
        question=name,
        images=len(answers),
        votes=int(counts.sum()),
        percent=percent_agreement(counts),
        cohen=_cohen(answers, reviewers) if len(codes) > 1 else None,
        fleiss=fleiss_kappa(counts),
        alpha=_alpha(counts),
        interval=_interval(counts, resamples, seed),
    )


def percent_agreement(counts: np.ndarray) -> float | None:
    """Share of pairs of votes on the same image that agree.

    Args:
        counts: (image, answer) How many votes say it; int.

    Returns:
        A share in [0, 1]; None where no image has two votes.
    """
    totals = counts.sum(axis=1)
    pairs = (totals * (totals - 1)).sum()
    return float((counts * (counts - 1)).sum() / pairs) if pairs else None


def fleiss_kappa(counts: np.ndarray) -> float | None:
    """Fleiss' kappa (Fleiss 1971).

    Args:
        counts: (image, answer) How many votes say it; int.

    Returns:
        Kappa; None where images differ in their number of votes, or all answers are the same.
    """
    observed = percent_agreement(counts)
    if observed is None or len(set(counts.sum(axis=1).tolist())) != 1:
        return None
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return (observed - chance) / (1 - chance) if chance < 1 else None


def _cohen(answers: Sequence[dict[str, int]], reviewers: Sequence[str]) -> float | None:
    if len(reviewers) != 2:
        return None
    from sklearn.metrics import cohen_kappa_score

    first, second = ([said[name] for said in answers] for name in reviewers)
    return float(cohen_kappa_score(first, second))


def _alpha(counts: np.ndarray) -> float | None:
    if counts.shape[1] < 2 or (counts.sum(axis=0) > 0).sum() < 2:
        return None
    import krippendorff

    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def _interval(counts: np.ndarray, resamples: int, seed: int) -> tuple[float, float] | None:
    """Percentiles over resampled images; a resample in which all answers are the same agrees."""
    if not resamples or _alpha(counts) is None:
        return None
    draw = np.random.default_rng(seed)
    patterns, times = np.unique(counts, axis=0, return_counts=True)
    found = []
    for drawn in draw.multinomial(int(times.sum()), times / times.sum(), size=resamples):
        alpha = _alpha(np.repeat(patterns, drawn, axis=0))
        found.append(1.0 if alpha is None else alpha)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
