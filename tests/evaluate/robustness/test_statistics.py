from typing import Any

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from advgen.evaluate.robustness.statistics import (
    holm,
    mcnemar_exact,
    newcombe_difference,
)


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
