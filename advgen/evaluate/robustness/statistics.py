"""Intervals and tests over rows that a model is fooled by or not; arrays in, numbers out."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from advgen.scoring import wilson_interval


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two shares with its 95 % interval, in [-1, 1]."""

    value: float
    low: float
    high: float


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test (McNemar, Psychometrika 12, 1947): a binomial one.

    Args:
        only_first: Rows on which only the first has a success.
        only_second: Rows on which only the second has one.

    Returns:
        In (0, 1], never below the least positive normal float.
    """
    from scipy.stats import binomtest

    trials = only_first + only_second
    if not trials:
        return 1.0
    return max(float(binomtest(only_first, trials, 0.5).pvalue), sys.float_info.min)


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


def weighted_difference(parts: Sequence[tuple[float, Difference]]) -> Difference:
    """The weighted mean of differences of independent strata.

    Its interval recovers the variances from those of the parts (Zou and Donner, Stat. Med. 27,
    2008); with one part it is that part's.

    Args:
        parts: Weight, any positive number, and difference of each stratum.

    Raises:
        ValueError: If there is none.
    """
    total = sum(weight for weight, _ in parts)
    if not total:
        raise ValueError(f"expected positive weights; got {[weight for weight, _ in parts]}")
    value = sum(weight / total * part.value for weight, part in parts)
    below = math.hypot(*(weight / total * (part.value - part.low) for weight, part in parts))
    above = math.hypot(*(weight / total * (part.high - part.value) for weight, part in parts))
    return Difference(value, value - below, value + above)
