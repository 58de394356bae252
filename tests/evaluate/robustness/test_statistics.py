import itertools
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from advgen.evaluate.robustness.statistics import (
    cluster_interval,
    holm,
    mcnemar_exact,
    newcombe_difference,
)
from advgen.scoring import wilson_interval


@pytest.mark.parametrize("counts", [(0, 0), (0, 1), (3, 3), (1, 9), (12, 4), (0, 40), (250, 200)])
def test_mcnemar_is_that_of_statsmodels(counts: tuple[int, int]) -> None:
    table = [[7, counts[0]], [counts[1], 5]]
    result: Any = mcnemar(table, exact=True)
    wanted = 1.0 if counts == (0, 0) else result.pvalue
    assert mcnemar_exact(*counts) == pytest.approx(wanted, rel=1e-9)


def test_holm_is_that_of_statsmodels() -> None:
    generator = np.random.default_rng(0)
    for count in (1, 2, 7):
        values = (generator.random(count) ** 3).tolist()
        values[-1] = values[0]  # a tie
        wanted = np.asarray(multipletests(values, method="holm")[1]).tolist()
        assert holm(values) == pytest.approx(wanted, rel=1e-12)
    assert holm([]) == []


@pytest.mark.parametrize(
    "counts", [(56, 70, 48, 80), (9, 10, 3, 10), (0, 20, 0, 15), (20, 20, 0, 9)]
)
def test_difference_is_newcombes(counts: tuple[int, int, int, int]) -> None:
    found = newcombe_difference(counts[:2], counts[2:])
    low, high = confint_proportions_2indep(*counts, compare="diff", method="newcomb")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])


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
