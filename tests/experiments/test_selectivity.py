from __future__ import annotations

import math

import pytest

from advgen.experiments.mean_ablation import measure_ablation
from advgen.experiments.selectivity import enough, selectivity
from advgen.lens import layer_sums


@pytest.fixture(scope="module")
def subject(make_subject):
    return make_subject(layers=(3, 4))


def test_keeping_everything_is_the_unablated_accuracy(subject):
    found = selectivity(subject, (0.1, 1.0, 0.1))
    assert found.shares == (0.1, 1.0)
    assert [row.name for row in found.rows] == ["layer 3", "layer 4", "layers 3-4"]
    assert all(row.kept[-1] == found.baseline for row in found.rows)
    lens = subject.lens()
    collection = subject.collect(lens)
    ablation = measure_ablation(subject, collection, lens, subject.directions)
    assert [row.ablated for row in found.rows] == [row.ablated for row in ablation.rows]
    effects = collection.effects
    sums = layer_sums(effects.tables[4], lens.basis, 4, subject.directions[4], shares=(0.1,))
    kept = effects.representation - sums.every + sums.kept[0.1]
    assert found.rows[1].kept[0] == subject.accuracy(kept, effects.numbers)


@pytest.mark.parametrize("shares", [(), (0.0, 0.5), (0.5, 1.5)])
def test_shares_outside_are_refused(subject, shares):
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        selectivity(subject, shares)


@pytest.mark.parametrize(
    ("accuracy", "share"),
    [
        ((0.2, 0.5, 0.6), 0.5),
        ((0.2, 0.59, 0.6), 0.1),
        ((0.6, 0.6, 0.6), 0.0),
        ((0.6, 0.5, 0.6), 0.5),
        ((0.2, 0.5, 0.55), math.nan),
    ],
)
def test_the_share_that_is_enough(accuracy, share):
    found = enough((0.0, 0.1, 0.5), accuracy, 0.6)
    assert found == share or (math.isnan(found) and math.isnan(share))
