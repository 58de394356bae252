import itertools

import numpy as np
import pytest
from scipy.stats import permutation_test

from advgen.evaluate.robustness.statistics import mcnemar_exact
from advgen.scoring import wilson_interval
from advgen.scoring.clusters import (
    cluster_differences,
    cluster_interval,
    difference_interval,
    resampled_shares,
    sign_flip_p,
)


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


def rows_of(differences: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose clusters differ by these numbers; some rows in each on which both agree."""
    first, second, cluster = [], [], []
    for number, d in enumerate(differences):
        size = abs(d) + 2
        first += [d > 0] * abs(d) + [True, False]
        second += [d < 0] * abs(d) + [True, False]
        cluster += [10 * number + 3] * size
    return np.array(first), np.array(second), np.array(cluster)


@pytest.mark.parametrize(
    "differences",
    [[1], [-3], [2, -2], [3, 0, 1], [5, 4, -1, 2], [1, 1, 1, -1, 2, 7], [4, 4, -4, 3, 3, 1, 0, 9]],
)
def test_sign_flips_against_every_choice_of_signs(differences: list[int]) -> None:
    first, second, cluster = rows_of(differences)
    assert cluster_differences(first, second, cluster).tolist() == differences
    seen = abs(sum(differences))
    signs = itertools.product((1, -1), repeat=len(differences))
    far = [abs(np.dot(choice, differences)) >= seen for choice in signs]
    found = sign_flip_p(first, second, cluster)
    assert found == pytest.approx(np.mean(far), rel=1e-12)
    assert sign_flip_p(second, first, -cluster) == found, "two-sided, by any name"
    order = np.random.default_rng(0).permutation(len(first))
    assert sign_flip_p(first[order], second[order], cluster[order]) == found


def test_sign_flips_are_the_paired_permutation_test_of_scipy() -> None:
    generator = np.random.default_rng(5)
    first, second = generator.random((2, 72)) < [[0.6], [0.3]]
    cluster = generator.integers(0, 12, 72)
    pair = [np.bincount(cluster, weights=side) for side in (first, second)]
    wanted = permutation_test(
        pair, lambda a, b: (a - b).sum(), permutation_type="samples", n_resamples=1_000_000
    )
    assert 0.001 < wanted.pvalue < 0.2, "every one of 4096 choices"
    assert sign_flip_p(first, second, cluster) == pytest.approx(wanted.pvalue, rel=1e-9)


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (3, 3), (2, 9), (300, 200), (2000, 0)])
def test_with_a_row_per_cluster_sign_flips_are_mcnemars_test(counts: tuple[int, int]) -> None:
    first, second, cluster = rows_of([1] * counts[0] + [-1] * counts[1] + [0] * 4)
    found = sign_flip_p(first, second, cluster)
    assert 0 < found <= 1, "however small, never 0"
    assert found == pytest.approx(mcnemar_exact(*counts), rel=1e-9)


def test_images_alike_in_a_description_are_one_piece_of_evidence() -> None:
    whole = rows_of([10] * 4 + [-10])
    assert mcnemar_exact(40, 10) < 1e-4 and sign_flip_p(*whole) == pytest.approx(12 / 32)
