"""Table 3's arithmetic on counts small enough to do by hand."""

import dataclasses

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from advgen.attack import CellResult
from advgen.experiments.paper import TABLE_3, TABLE_3_PAIRS
from advgen.experiments.success import (
    POOLED,
    Spread,
    by_description,
    compare,
    comparisons,
    success_table,
)
from advgen.records import Sample
from advgen.scoring import Rate

RESULTS = [
    CellResult("a:b", "ours", 0, Rate(10, 4, 8, 3)),
    CellResult("a:b", "ours", 1, Rate(10, 2, 5, 1)),
    CellResult("c:d", "ours", 0, Rate(10, 10, 0, 0)),
    CellResult("c:d", "ours", 1, Rate(10, 0, 10, 0)),
    CellResult("a:b", "other", 0, Rate(10, 0, 10, 0)),
    CellResult("a:b", "other", 1, Rate(10, 0, 10, 0)),
]


def test_repeats_are_averaged_and_counts_pooled() -> None:
    table = success_table(RESULTS)
    assert list(table) == ["ours", "other"]
    assert list(table["ours"]) == ["a:b", "c:d", POOLED]
    verified = table["ours"]["a:b"].verified
    assert verified.repeats == (3 / 8, 1 / 5)
    assert verified.mean == pytest.approx(np.mean(verified.repeats))
    assert verified.std == pytest.approx(np.std(verified.repeats, ddof=1))
    assert (verified.counted, verified.images) == (4, 13)
    assert verified.interval == pytest.approx(proportion_confint(4, 13, method="wilson"))
    unverified = table["ours"]["a:b"].unverified
    assert (unverified.repeats, unverified.counted, unverified.images) == ((0.4, 0.2), 6, 20)


def test_pooled_repeats_are_all_images_of_that_repeat() -> None:
    pooled = success_table(RESULTS)["ours"][POOLED]
    assert pooled.verified.repeats == (3 / 8, 1 / 15)
    assert pooled.unverified.repeats == (14 / 20, 2 / 20)
    assert (pooled.unverified.counted, pooled.unverified.images) == (16, 40)


def test_a_repeat_without_verified_images_has_no_rate() -> None:
    verified = success_table(RESULTS)["ours"]["c:d"].verified
    assert verified.repeats == (None, 0.0)
    assert (verified.mean, verified.std) == (0.0, None)
    nobody = Spread((None, None), 0, 0)
    assert (nobody.mean, nobody.std, nobody.interval) == (None, None, None)
    assert nobody.to_json()["interval"] is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ((90, 100), (50, 100), "above"),
        ((50, 100), (90, 100), "below"),
        ((52, 100), (50, 100), "overlap"),
        ((0, 0), (50, 100), "no images"),
    ],
)
def test_intervals_are_apart_or_not(ours, theirs, expected: str) -> None:
    assert compare(Spread((), *ours), Spread((), *theirs)) == expected


def test_every_other_method_is_compared() -> None:
    table = success_table(RESULTS)
    assert comparisons(table, "ours", verified=False) == {"other": "above"}
    assert comparisons(table, "other", verified=False) == {"ours": "below"}
    assert comparisons(table, "ours", verified=True) == {"other": "overlap"}


def test_the_paper_s_table_is_whole() -> None:
    assert all(list(row) == list(TABLE_3_PAIRS) for row in TABLE_3.values())
    assert TABLE_3["second-order"]["dog:deer"] == 22.7
    assert all(
        TABLE_3["second-order"][pair] > TABLE_3[method][pair]
        for pair in TABLE_3_PAIRS
        for method in ("random", "indirect", "similar-words")
    )


EMPTY = {"str": "", "int": 0, "float": 0.0, "float | None": None, "bool": False}
EMPTY["tuple[str, ...]"] = ()


def sample(method: str, description: str, fooled: bool, *, verified: bool = True) -> Sample:
    values = {field.name: EMPTY[str(field.type)] for field in dataclasses.fields(Sample)}
    own = {"true_class": "a", "target_class": "b", "method": method, "description": description}
    return Sample(**{**values, **own, "fooled": fooled, "verified": verified})


def test_whole_descriptions_are_drawn_again() -> None:
    generator = np.random.default_rng(0)
    rows = []
    for number in range(60):  # a description fools with all of its images or with none
        for method, chance in (("ours", 0.6), ("other", 0.2)):
            fooled = bool(generator.random() < chance)
            rows += [sample(method, f"scene {number}", fooled) for _ in range(10)]
    rows.append(sample("ours", "scene 0", True, verified=False))
    found = by_description(rows, "ours", seed=1)
    assert list(found) == ["ours", "other"]
    ours, other = found["ours"], found["other"]
    assert (ours.images, ours.descriptions, ours.lead) == (600, 60, None)
    assert other.lead is not None
    assert other.lead[0] == pytest.approx(ours.rate - other.rate)
    assert 0 < other.lead[1] < other.lead[0] < other.lead[2]
    binomial = proportion_confint(round(60 * ours.rate), 60)  # as if 60 trials, not 600
    assert ours.interval == pytest.approx(binomial, abs=0.03)
    assert found == by_description(rows, "ours", seed=1)
    assert by_description(rows, "nobody")["ours"].lead is None
    assert by_description([], "ours") == {}
