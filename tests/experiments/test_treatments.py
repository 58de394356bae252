from __future__ import annotations

import dataclasses

import pytest
import torch

from advgen.experiments.mean_ablation import mean_ablation
from advgen.experiments.treatments import compare_treatments, direction_cosines


def test_both_treatments_equal_their_own_ablation(make_subject):
    found = compare_treatments(make_subject(layers=(4,)))
    for treatment in ("paper", "centered"):
        alone = mean_ablation(make_subject(layers=(4,), treatment=treatment))
        assert found.ablation[treatment] == alone
    (agreement,) = found.agreement
    assert agreement.layer == 4
    assert 0 < agreement.low <= agreement.median < 1
    assert 0 <= agreement.alike <= 1


def test_cosines_leave_out_neurons_without_direction(small_subject):
    first = small_subject.directions[4]
    silent = first.direction.clone()
    silent[1] = 0.0
    cosines = direction_cosines(first, dataclasses.replace(first, direction=-silent))
    assert len(cosines) == len(first) - 1
    assert cosines.tolist() == pytest.approx([1.0] * len(cosines))
    assert torch.all(cosines <= 1)
