"""Agreement against numbers that others compute."""

import warnings

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as their_fleiss

from advgen.review.agreement import agreement_of, fleiss_kappa, percent_agreement
from advgen.review.votes import Vote

CODES = {0: True, 1: False, 2: None}


def ballots_of(table: np.ndarray) -> list[list[Vote]]:
    """Votes from a table (image, reviewer) of codes; -1: no vote."""
    return [
        [
            Vote(0, str(image), f"r{reviewer}", CODES[code], False)
            for reviewer, code in enumerate(row.tolist())
            if code >= 0
        ]
        for image, row in enumerate(table)
    ]


def test_numbers_computed_by_hand() -> None:
    # both yes 20, both no 15, first alone 5, second alone 10: p_o = 0.7, p_e = 0.5
    table = np.array([[0, 0]] * 20 + [[1, 1]] * 15 + [[0, 1]] * 5 + [[1, 0]] * 10)
    found = agreement_of(ballots_of(table), resamples=0)
    true, target, verdict = found.questions
    assert found.reviewers == ("r0", "r1")
    assert (true.images, true.votes, true.interval) == (50, 100, None)
    assert true.percent == pytest.approx(0.7)
    assert true.cohen == pytest.approx(0.4)
    # alpha = 1 - (n - 1) o_01 / (n_0 n_1) = 1 - 99 * 15 / (55 * 45)
    assert true.alpha == pytest.approx(0.4)
    assert (target.percent, target.cohen, target.fleiss, target.alpha) == (1.0, None, None, None)
    assert verdict.cohen == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("reviewers", [2, 3, 5])
def test_measures_are_those_of_the_libraries(seed: int, reviewers: int) -> None:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 3, size=(60, 1))
    noise = draw.integers(0, 3, size=(60, reviewers))
    table = np.where(draw.random((60, reviewers)) < 0.6, truth, noise)
    found = agreement_of(ballots_of(table), resamples=0).questions[0]
    assert found.fleiss == pytest.approx(their_fleiss(aggregate_raters(table)[0]))
    alpha = krippendorff.alpha(table.T.astype(float), level_of_measurement="nominal")
    assert found.alpha == pytest.approx(alpha)
    expected = cohen_kappa_score(*table.T) if reviewers == 2 else None
    assert found.cohen == (None if expected is None else pytest.approx(expected))
    table[draw.random(table.shape) < 0.3] = -1
    holes = agreement_of(ballots_of(table), resamples=0).questions[0]
    values = np.where(table < 0, np.nan, table).T
    alpha = krippendorff.alpha(values, level_of_measurement="nominal")
    assert holes.alpha == pytest.approx(alpha)
    assert holes.images == ((table >= 0).sum(axis=1) >= 2).sum()
    assert reviewers == 2 or holes.fleiss is None


def test_percent_agreement_is_over_pairs_of_votes() -> None:
    counts = np.array([[3, 0], [2, 1], [0, 1]])
    assert percent_agreement(counts) == pytest.approx((3 + 1) / (3 + 3))
    assert percent_agreement(np.array([[1, 0]])) is None
    assert fleiss_kappa(np.array([[2, 0], [1, 0]])) is None


def test_the_interval_holds_alpha_narrows_and_repeats() -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, size=(400, 1))
    table = np.where(draw.random((400, 2)) < 0.8, truth, 1 - truth)
    wide = agreement_of(ballots_of(table[:40]), 300, seed=1).questions[0]
    narrow = agreement_of(ballots_of(table), 300, seed=1).questions[0]
    again = agreement_of(ballots_of(table), 300, seed=1).questions[0]
    for found in (wide, narrow):
        assert found.interval is not None and found.alpha is not None
        assert found.interval[0] < found.alpha < found.interval[1]
    assert wide.interval and narrow.interval
    assert np.diff(narrow.interval) < 0.6 * np.diff(wide.interval)
    assert again == narrow
    direct = [
        krippendorff.alpha(table[draw.integers(0, 400, 400)].T, level_of_measurement="nominal")
        for _ in range(300)
    ]
    assert narrow.interval == pytest.approx(np.percentile(direct, [2.5, 97.5]), abs=0.03)


@pytest.mark.parametrize("table", [[], [[0, -1], [-1, 1]], [[0, 0]], [[0, 1]]])
def test_few_votes_are_no_fault(table: list) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = agreement_of(ballots_of(np.array(table, dtype=int).reshape(-1, 2)), 20)
    first = found.questions[0]
    assert first.images == (1 if len(table) == 1 else 0)
    assert (first.percent is None) == (not first.images)


def test_a_review_counts_its_double_images(open_review) -> None:
    store = open_review(4, double=1.0)
    for number, item in enumerate(store.page("ann")):
        store.vote("ann", item.id, True, number == 0, token=f"t{number}")
        if number < 3:
            store.vote("bob", item.id, True, False, token=f"t{number}")
    true, target, verdict = store.agreement(resamples=0).questions
    assert (true.images, true.percent, target.percent) == (3, 1.0, pytest.approx(2 / 3))
    assert verdict.percent == pytest.approx(2 / 3)
