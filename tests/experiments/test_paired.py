"""Paired differences against statsmodels."""

import pytest
import torch
from statsmodels.stats.weightstats import DescrStatsW

from advgen.experiments.paired import Paired, correct, paired
from advgen.lens import classification_accuracy


def test_interval_is_that_of_statsmodels():
    first, second = torch.rand(50) < 0.8, torch.rand(50) < 0.5
    found = paired(first, second)
    low, high = DescrStatsW((first.double() - second.double()).numpy()).zconfint_mean()
    assert found.difference - found.half_width == pytest.approx(low)
    assert found.difference + found.half_width == pytest.approx(high)


@pytest.mark.parametrize(
    ("difference", "half_width", "verdict"),
    [(0.2, 0.1, "yes"), (-0.2, 0.1, "no"), (0.1, 0.2, "unclear"), (0.0, 0.0, "unclear")],
)
def test_verdicts(difference, half_width, verdict):
    assert Paired(difference, half_width).verdict == verdict


def test_one_thing_has_no_interval():
    assert paired(torch.tensor([1.0]), torch.tensor([0.25])) == Paired(0.75, 0.0)


@pytest.mark.parametrize("sizes", [(3, 4), (0, 0)])
def test_values_must_be_pairs(sizes):
    with pytest.raises(ValueError, match="equally long"):
        paired(*(torch.zeros(size) for size in sizes))


def test_hits_average_to_the_accuracy():
    representation, classifier = torch.randn(30, 8), torch.randn(5, 8)
    labels = torch.randint(5, (30,))
    hits = correct(representation, classifier, labels)
    assert hits.tolist() == [
        max(range(5), key=lambda c: float(representation[i] @ classifier[c])) == int(labels[i])
        for i in range(30)
    ]
    assert float(hits.double().mean()) == pytest.approx(
        classification_accuracy(representation, classifier, labels)
    )
