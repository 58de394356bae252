"""Intervals of rates when images come in groups: those of one description are not independent."""

from __future__ import annotations

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
