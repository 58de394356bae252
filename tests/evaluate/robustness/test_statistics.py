from typing import Any

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from advgen.evaluate.robustness.results import PairResult, pooled_excess, rate_of
from advgen.evaluate.robustness.statistics import (
    Difference,
    holm,
    mcnemar_exact,
    newcombe_difference,
    weighted_difference,
)
from advgen.records import ClassPair


@pytest.mark.parametrize("counts", [(0, 0), (0, 1), (3, 3), (1, 9), (12, 4), (0, 40), (250, 200)])
def test_mcnemar_is_that_of_statsmodels(counts: tuple[int, int]) -> None:
    table = [[7, counts[0]], [counts[1], 5]]
    result: Any = mcnemar(table, exact=True)
    wanted = 1.0 if counts == (0, 0) else result.pvalue
    assert mcnemar_exact(*counts) == pytest.approx(wanted, rel=1e-9)


def test_a_p_value_is_never_zero() -> None:
    assert 0 < mcnemar_exact(0, 5000) < 1e-300


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


def test_strata_are_weighted_and_their_spreads_add_in_squares() -> None:
    one, other = Difference(0.2, 0.1, 0.4), Difference(-0.1, -0.5, 0.0)
    alone = weighted_difference([(7.0, one)])
    assert (alone.value, alone.low, alone.high) == pytest.approx((0.2, 0.1, 0.4))
    found = weighted_difference([(3.0, one), (1.0, other)])
    assert found.value == pytest.approx(0.75 * 0.2 - 0.25 * 0.1)
    assert found.value - found.low == pytest.approx(np.hypot(0.75 * 0.1, 0.25 * 0.4))
    assert found.high - found.value == pytest.approx(np.hypot(0.75 * 0.2, 0.25 * 0.1))
    with pytest.raises(ValueError, match="positive weights"):
        weighted_difference([])


def test_excess_over_pairs_does_not_depend_on_how_many_clean_images_there_are() -> None:
    def pair(target: str, success: tuple[int, int], right: tuple[int, int]) -> PairResult:
        return PairResult(ClassPair("dog", target), rate_of(*success), (0.0, 1.0), rate_of(*right))

    few = pair("deer", (5, 10), (500, 1000))  # as bad on clean images, of which there are many
    found = pooled_excess([pair("cat", (9, 90), (90, 100)), few])
    assert found is not None and found.value == pytest.approx(0.0)
    assert found.low < 0 < found.high
    none = pair("fox", (1, 3), (0, 0))
    assert pooled_excess([few, none]) is None, "a pair without a clean image"
    assert pooled_excess([]) is None
