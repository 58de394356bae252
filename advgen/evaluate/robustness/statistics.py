"""Intervals and tests over rows that a model is fooled by or not; arrays in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from advgen.scoring import wilson_interval

DRAWS = 2000
"""Resamples of a bootstrap interval."""
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two shares with its 95 % interval, in [-1, 1]."""

    value: float
    low: float
    high: float


def cluster_interval(
    fooled: Bool[np.ndarray, " row"],
    cluster: Int[np.ndarray, " row"],
    seed: int,
    draws: int = DRAWS,
) -> tuple[float, float]:
    """95 % percentile interval of a share when whole clusters are drawn again.

    Where every row agrees, resampling shows no spread at all; then the Wilson interval for as many
    trials as there are clusters stands in. A single cluster that disagrees with itself says nothing
    of others: 0 to 1.

    Args:
        fooled: Whether each row is a success.
        cluster: Which rows belong together, any numbers.
        seed: Of the resamples; the same seed gives the same ones for every model.
        draws: How many resamples.

    Returns:
        Two shares.

    Raises:
        ValueError: If the arrays differ in length or are empty.
    """
    if len(fooled) != len(cluster) or not len(fooled):
        raise ValueError(f"expected equally many, some; got {len(fooled)} and {len(cluster)}")
    _, number = np.unique(cluster, return_inverse=True)
    rows = np.bincount(number)
    hits = np.bincount(number, weights=fooled)
    count = len(rows)
    if fooled.all() or not fooled.any():
        return wilson_interval(count if fooled.all() else 0, count)
    if count == 1:
        return 0.0, 1.0
    generator = np.random.default_rng(seed)
    shares = []
    for start in range(0, draws, _AT_ONCE):
        times = generator.multinomial(
            count, np.full(count, 1 / count), size=min(_AT_ONCE, draws - start)
        )
        shares.append((times @ hits) / (times @ rows))
    low, high = np.quantile(np.concatenate(shares), (0.025, 0.975))
    return float(low), float(high)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test (McNemar, Psychometrika 12, 1947): a binomial one.

    Args:
        only_first: Rows on which only the first has a success.
        only_second: Rows on which only the second has one.
    """
    from scipy.stats import binomtest

    trials = only_first + only_second
    return float(binomtest(only_first, trials, 0.5).pvalue) if trials else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction (Scand. J. Statist. 6, 1979) of p values, in their order."""
    corrected = [0.0] * len(values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        least = max(least, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = least
    return corrected


def newcombe_difference(first: tuple[int, int], second: tuple[int, int]) -> Difference:
    """First share less second, of independent samples (Newcombe, Stat. Med. 17, 1998, method 10).

    Args:
        first: Successes and trials.
        second: Successes and trials.

    Raises:
        ValueError: If one has no trial.
    """
    (low_1, high_1), (low_2, high_2) = wilson_interval(*first), wilson_interval(*second)
    share_1, share_2 = first[0] / first[1], second[0] / second[1]
    value = share_1 - share_2
    return Difference(
        value,
        value - math.hypot(share_1 - low_1, high_2 - share_2),
        value + math.hypot(high_1 - share_1, share_2 - low_2),
    )
