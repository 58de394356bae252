import itertools

import numpy as np
import pytest

from advgen.scoring import wilson_interval
from advgen.scoring.clusters import cluster_interval, difference_interval, resampled_shares


def test_cluster_interval_against_every_possible_resample() -> None:
    fooled = np.array([1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1], dtype=bool)
    cluster = np.array([7, 7, 7, 3, 3, 9, 9, 9, 5, 5, 5, 2, 2])
    groups = [fooled[cluster == name] for name in (7, 3, 9, 5, 2)]
    shares = [np.concatenate(drawn).mean() for drawn in itertools.product(groups, repeat=5)]
    wanted = np.quantile(shares, (0.025, 0.975)).tolist()
    found = cluster_interval(fooled, cluster, seed=1, draws=20_000)
    assert found == pytest.approx(wanted, abs=0.03)
    assert found == cluster_interval(fooled, cluster + 5, seed=1, draws=20_000)
    alone = cluster_interval(fooled, np.arange(13), seed=1)
    assert found[1] - found[0] > alone[1] - alone[0], "wider than for images on their own"


def test_cluster_interval_where_resampling_says_nothing() -> None:
    pair = np.array([4, 4, 8])
    assert cluster_interval(np.zeros(3, bool), pair, 0) == wilson_interval(0, 2)
    assert cluster_interval(np.ones(3, bool), pair, 0) == wilson_interval(2, 2)
    assert cluster_interval(np.array([True, False]), np.array([1, 1]), 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="got 0 and 0"):
        cluster_interval(np.zeros(0, bool), np.zeros(0, int), 0)


def test_difference_of_two_rates() -> None:
    generator = np.random.default_rng(3)
    many = np.repeat(np.arange(400), 5)
    first, second = generator.random(2000) < 0.3, generator.random(2000) < 0.2
    low, high = difference_interval(
        resampled_shares(first, many, 1, 4000), resampled_shares(second, many, 2, 4000)
    )
    value = first.mean() - second.mean()
    shares = (first.mean(), second.mean())
    spread = 1.96 * np.sqrt(sum(share * (1 - share) / 2000 for share in shares))
    assert (low, high) == pytest.approx((value - spread, value + spread), abs=0.01)
    with pytest.raises(ValueError, match="got 10 and 20"):
        difference_interval(
            resampled_shares(first, many, 1, 10), resampled_shares(second, many, 1, 20)
        )
