import json
from collections.abc import Callable

import pytest

from advgen.attack import pooled, results_of
from advgen.records import Sample
from advgen.scoring import Rate, wilson_interval


@pytest.fixture
def rows(make_sample: Callable[..., Sample]) -> list[Sample]:
    cells = [
        ("ship", "truck", "second-order", 0, 4),
        ("dog", "deer", "second-order", 1, 3),
        ("dog", "deer", "second-order", 0, 2),
        ("dog", "deer", "random", 0, 3),
    ]
    return [
        make_sample(
            true_class=true,
            target_class=target,
            method=method,
            repeat=repeat,
            fooled=number == 0,
            verified=method == "second-order",
        )
        for true, target, method, repeat, count in cells
        for number in range(count)
    ]


def test_a_result_per_pair_method_and_repeat_in_order_of_appearance(rows: list[Sample]) -> None:
    results = results_of([*rows[1:], rows[0]])
    assert [(one.pair, one.method, one.repeat) for one in results] == [
        ("ship:truck", "second-order", 0),
        ("dog:deer", "second-order", 1),
        ("dog:deer", "second-order", 0),
        ("dog:deer", "random", 0),
    ]
    assert results[0].rate == Rate(images=4, fooled=1, verified=4, fooled_verified=1)


def test_the_json_row_of_a_result(rows: list[Sample]) -> None:
    table = [result.to_json() for result in results_of(rows)]
    assert json.loads(json.dumps(table)) == table
    assert table[0] == {
        "pair": "ship:truck",
        "method": "second-order",
        "repeat": 0,
        "images": 4,
        "fooled": 1,
        "verified": 4,
        "fooled_verified": 1,
        "attack_success_rate": 0.25,
        "interval": list(wilson_interval(1, 4)),
    }
    assert (table[3]["attack_success_rate"], table[3]["interval"]) == (None, None)


def test_pooling_adds_counts_over_pairs_and_repeats_by_method(rows: list[Sample]) -> None:
    assert pooled(results_of(rows)) == {
        "second-order": Rate(images=9, fooled=3, verified=9, fooled_verified=3),
        "random": Rate(images=3, fooled=1, verified=0, fooled_verified=0),
    }
