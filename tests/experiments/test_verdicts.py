from __future__ import annotations

import math

import pytest
from statsmodels.stats.proportion import proportion_confint

from advgen.experiments.mean_ablation import AblationRow, MeanAblation
from advgen.experiments.paper import RANK_ONE, SECOND_ORDER_LEFT
from advgen.experiments.reconstruction import RANDOM, RebuiltRow, Reconstruction
from advgen.experiments.verdicts import ablation_verdicts, noise, recovered, text_verdict


def rows(*values: tuple[float, float, float]) -> MeanAblation:
    """Layers with (ablated, without small, first component) at a baseline of 0.6."""
    made = [
        AblationRow((layer,), ablated, 0.5, small, component, 0.02, 0.5)
        for layer, (ablated, small, component) in enumerate(values)
    ]
    return MeanAblation(0.6, 5000, tuple(made))


FLAT = (0.6, 0.6, 0.6)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (rows(FLAT, FLAT, (0.3, 0.6, 0.6)), [True, True, True]),
        (rows((0.3, 0.6, 0.6), FLAT, FLAT), [False, True, True]),
        (rows(FLAT, FLAT, (0.3, 0.45, 0.6)), [True, False, True]),
        (rows(FLAT, (0.6, 0.6, 0.5), (0.3, 0.6, 0.6)), [True, True, False]),
        (rows(FLAT, FLAT, FLAT), [None, None, None]),
        (rows((0.3, 0.6, 0.6)), [None, True, True]),
    ],
)
def test_verdicts_follow_the_numbers(found, expected):
    verdicts = ablation_verdicts(found, depth=3)
    assert [verdict.holds for verdict in verdicts] == expected
    assert [verdict.claim for verdict in verdicts] == ["late layers", "sparse", "rank one"]


def test_a_verdict_says_the_numbers_behind_it():
    late, sparse, rank_one = ablation_verdicts(rows(FLAT, FLAT, (0.3, 0.45, 0.5)), depth=3)
    assert late.line().startswith("late layers: as in the paper; the largest drop is in layer 2 ")
    assert "-30.0 points" in late.text
    assert "bring back 50 % of the drop" in sparse.text and "-15.0 points" in sparse.text
    assert "2 of 3" in rank_one.text and "layer 2 with -10.0 points" in rank_one.text


def test_noise_is_half_the_wilson_interval():
    low, high = proportion_confint(3000, 5000, method="wilson")
    assert noise(0.6, 5000) == pytest.approx((high - low) / 2)


def test_recovered_share():
    assert recovered(0.9, 0.5, 0.7) == pytest.approx(0.5)
    assert math.isnan(recovered(0.9, 0.9, 0.9))


@pytest.mark.parametrize(("rebuilt", "holds"), [(0.595, True), (0.5, False)])
def test_texts(rebuilt, holds):
    pools = {"some": (0.4, rebuilt), RANDOM: (0.3, 0.35)}
    row = RebuiltRow((9,), 0.3, 0.6, pools, {})
    found = Reconstruction(0.6, 5000, (4, 128), {"some": 1000}, (row,), (), ())
    verdict = text_verdict(found)
    assert verdict.holds is holds
    assert "m = 128 texts of some" in verdict.text
    assert "with as many random words 17 %; with m = 4: 33 %, random words 0 %" in verdict.text


def test_the_paper_s_figures_read_as_sentences():
    assert SECOND_ORDER_LEFT.line().endswith("second-order effects are mean-ablated: 29.6 %")
    line = RANK_ONE.line()
    assert line.startswith("paper, Fig. 3: reconstruction") and "%" not in line
