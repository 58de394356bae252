"""Intervals and tests when images come in groups: those of one description are not independent."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Int

from advgen.records import Sample
from advgen.scoring.metrics import wilson_interval

DRAWS = 2000
"""Resamples of a bootstrap interval."""
_AT_ONCE = 200
_ENDS = (0.025, 0.975)


def by_description(
    samples: Iterable[Sample],
) -> tuple[Bool[np.ndarray, " row"], Int[np.ndarray, " row"]]:
    """Verified rows: whether each fooled the model, and which description it belongs to.

    The same words in another pair, with another method or in another repeat are a description of
    their own.
    """
    rows = [sample for sample in samples if sample.verified]
    keys = [
        (row.true_class, row.target_class, row.method, row.repeat, row.description) for row in rows
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    fooled = np.array([row.fooled for row in rows], dtype=bool)
    return fooled, np.array([numbers[key] for key in keys], dtype=int)


def resampled_shares(
    fooled: Bool[np.ndarray, " row"],
    cluster: Int[np.ndarray, " row"],
    seed: int,
    draws: int = DRAWS,
) -> Float[np.ndarray, " draw"]:
    """The share of successes when whole clusters are drawn again, with replacement.

    Args:
        fooled: Whether each row is a success.
        cluster: Which rows belong together, any numbers.
        seed: Of the resamples.
        draws: How many.

    Raises:
        ValueError: If the arrays differ in length or are empty.
    """
    if len(fooled) != len(cluster) or not len(fooled):
        raise ValueError(f"expected equally many, some; got {len(fooled)} and {len(cluster)}")
    _, number = np.unique(cluster, return_inverse=True)
    rows = np.bincount(number)
    hits = np.bincount(number, weights=fooled)
    count = len(rows)
    generator = np.random.default_rng(seed)
    shares = []
    for start in range(0, draws, _AT_ONCE):
        times = generator.multinomial(
            count, np.full(count, 1 / count), size=min(_AT_ONCE, draws - start)
        )
        shares.append((times @ hits) / (times @ rows))
    return np.concatenate(shares)


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
    shares = resampled_shares(fooled, cluster, seed, draws)
    count = len(np.unique(cluster))
    if fooled.all() or not fooled.any():
        return wilson_interval(count if fooled.all() else 0, count)
    if count == 1:
        return 0.0, 1.0
    low, high = np.quantile(shares, _ENDS)
    return float(low), float(high)


def difference_interval(
    first: Float[np.ndarray, " draw"], second: Float[np.ndarray, " other_draw"]
) -> tuple[float, float]:
    """95 % percentile interval of first minus second, drawn again independently of each other.

    Args:
        first: `resampled_shares` of one set of rows.
        second: Those of another, with another seed.

    Raises:
        ValueError: If there are not equally many draws.
    """
    if first.shape != second.shape:
        raise ValueError(f"expected equally many draws; got {len(first)} and {len(second)}")
    low, high = np.quantile(first - second, _ENDS)
    return float(low), float(high)


def sign_flip_p(
    first: Bool[np.ndarray, " row"],
    second: Bool[np.ndarray, " row"],
    cluster: Int[np.ndarray, " row"],
) -> float:
    """Two-sided p of the exact sign-flip test: has one of two more successes on the same rows?

    Each cluster counts by d, the successes of the first less those of the second. Where the two do
    not differ, d and -d are equally likely for a whole cluster, whatever its rows have in common;
    p is the share of all choices of signs that give a sum as far from 0 as the one seen, or
    farther. With one row per cluster this is McNemar's exact test.

    Source: a randomisation test (Fisher, The Design of Experiments, 1935, section 21) of paired
    clustered binary data (Eliasziw and Donner, Stat. Med. 10, 1991, have the asymptotic one).

    Args:
        first: Whether each row is a success of the first.
        second: The same of the second.
        cluster: Which rows belong together, any numbers.

    Returns:
        In (0, 1]; no sampling. Never below the least positive normal float.
    """
    sums = cluster_differences(first, second, cluster)
    shares = np.ones(1)
    for size, times in zip(*np.unique(np.abs(sums[sums != 0]), return_counts=True), strict=True):
        shares = _flipped(shares, int(size), int(times))
    seen = abs(int(sums.sum()))
    if not seen:
        return 1.0
    # with X the sum of |d| over the positive signs, the sum of all is 2 X - (largest X)
    least = (len(shares) - 1 + seen) // 2
    return float(min(1.0, max(2 * np.sort(shares[least:]).sum(), sys.float_info.min)))


def cluster_differences(
    first: Bool[np.ndarray, " row"],
    second: Bool[np.ndarray, " row"],
    cluster: Int[np.ndarray, " row"],
) -> Int[np.ndarray, " cluster"]:
    """Per cluster, in order of its number: successes of the first less those of the second."""
    _, number = np.unique(cluster, return_inverse=True)
    found = np.bincount(number, weights=first.astype(int) - second.astype(int))
    return np.rint(found).astype(int)


def _flipped(
    shares: Float[np.ndarray, " value"], size: int, times: int
) -> Float[np.ndarray, " more"]:
    """A distribution over 0, 1, ... after adding `size` or nothing, at evens, so many times."""
    from scipy.stats import binom

    grown = np.zeros(len(shares) + size * times)
    for count, share in enumerate(binom.pmf(np.arange(times + 1), times, 0.5)):
        grown[count * size : count * size + len(shares)] += share * shares
    return grown
