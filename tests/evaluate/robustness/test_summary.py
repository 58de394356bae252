"""Numbers by hand: 11 rows, of which six were made against sandbox-a and five against another."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from doubles.runs import sandbox_clip

from advgen.errors import DataError
from advgen.evaluate.robustness.dataset import open_data
from advgen.evaluate.robustness.results import Evaluation, rate_of
from advgen.evaluate.robustness.scores import Scores
from advgen.evaluate.robustness.statistics import holm
from advgen.evaluate.robustness.summary import ScoredModel, summarise
from advgen.imagesets.batches import Skipped
from advgen.records import ClassPair
from advgen.scoring.clusters import cluster_interval

OWN = "0" * 64


def said(fooled: str, skipped: tuple[int, ...] = ()) -> Scores:
    """Scores of a model that is fooled by the rows with a 1."""
    margins = np.array([0.5 if mark == "1" else -0.5 for mark in fooled], dtype=np.float32)
    margins[list(skipped)] = np.nan
    lost = tuple(Skipped(place, f"row {place}", "broken") for place in skipped)
    return Scores(np.zeros_like(margins), margins, lost)


def model(name: str, fooled: str, weights: str = OWN, **kind: tuple[int, ...]) -> ScoredModel:
    return ScoredModel(name, weights, said(fooled, **kind), None)


@pytest.fixture(scope="module")
def found(release: Path) -> Evaluation:
    data = open_data(str(release))
    return summarise(
        data,
        None,
        [
            model("first", "11000000011"),
            model("again", "00000010101", "f" * 64),
            model("bold", "11111111111", "1" * 64),
        ],
        seed=4,
    )


def test_rates_of_models_and_pairs(found: Evaluation) -> None:
    first = found.models[0]
    assert first.success == rate_of(4, 11)
    assert [pair.success for pair in first.pairs] == [rate_of(4, 8), rate_of(0, 3)]
    assert found.data.pairs == (ClassPair("dog", "deer"), ClassPair("cat", "fox"))
    assert found.row_pairs == (0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0)
    assert first.clean is None and first.excess is None
    assert np.array_equal(first.margins > 0, [c == "1" for c in "11000000011"])


def test_descriptions_are_drawn_as_a_whole(release: Path, found: Evaluation) -> None:
    data = open_data(str(release))
    sentences = [(row.pair, row.description) for row in data.rows]
    assert len(set(sentences)) == 8, "three descriptions of dogs are in both runs"
    number = np.array([sentences.index(sentence) for sentence in sentences])
    fooled = np.array([c == "1" for c in "11000000011"])
    assert found.models[0].sentence_interval == cluster_interval(fooled, number, 4)


def test_transfer(release: Path, found: Evaluation) -> None:
    names = found.data.attacked
    assert len(names) == 2 and names[1] == "sandbox-a (ffffffff)"
    assert names[0].startswith("sandbox-a (") and names[0] != names[1]
    recorded = [row.fooled for row in open_data(str(release)).rows]
    assert recorded[6:] == [True, False, True, False, True]
    cells = {(cell.attacked, cell.evaluated): cell for cell in found.transfer}
    assert cells[names[1], "first"].success == rate_of(2, 5)
    assert cells[names[1], "first"].given_fooled == rate_of(1, 3)
    assert cells[names[0], "first"].success == rate_of(2, 6)
    assert cells[names[0], "first"].given_fooled == rate_of(sum(recorded[:2]), sum(recorded[:6]))
    assert cells[names[1], "again"].given_fooled == rate_of(3, 3)


def test_comparisons(release: Path, found: Evaluation) -> None:
    assert len(found.comparisons) == 5, "no model is compared with itself"
    lines = {(row.attacked, row.evaluated): row for row in found.comparisons}
    other = found.data.attacked[1]
    # recorded 10101 and said 00011: the first three and the fourth differ
    row = lines[other, "first"]
    assert (row.rows, row.only_attacked, row.only_evaluated) == (5, 2, 1)
    assert row.p == pytest.approx(1.0)
    row = lines[other, "bold"]
    assert (row.only_attacked, row.only_evaluated) == (0, 2)
    assert row.p == pytest.approx(0.5)
    fooled = sum(row.fooled for row in open_data(str(release)).rows[:6])
    row = lines[found.data.attacked[0], "bold"]
    assert row.p == pytest.approx(min(1.0, 2 * 0.5 ** (6 - fooled)))
    assert row.p_holm == pytest.approx(min(1.0, 5 * row.p)), "the smallest of five"
    assert all(row.p <= row.p_holm <= 1 for row in found.comparisons)


def test_comparisons_over_descriptions(release: Path, found: Evaluation) -> None:
    data = open_data(str(release))
    fooled = np.array([row.fooled for row in data.rows])
    for row in found.comparisons:
        attacked = data.rows[0 if row.attacked == found.data.attacked[0] else 6].weights_sha256
        mine = np.array([line.weights_sha256 == attacked for line in data.rows])
        (model,) = (model for model in found.models if model.name == row.evaluated)
        sums: dict[tuple[ClassPair, str], int] = {}
        for place in np.flatnonzero(mine):
            key = data.rows[place].pair, data.rows[place].description
            sums[key] = sums.get(key, 0) + int(fooled[place]) - int(model.margins[place] > 0)
        signs = itertools.product((1, -1), repeat=len(sums))
        values = list(sums.values())
        far = [abs(np.dot(sign, values)) >= abs(sum(values)) for sign in signs]
        assert row.p_descriptions == pytest.approx(np.mean(far))
        assert (row.descriptions, row.deciding) == (len(sums), np.count_nonzero(values))
    corrected = holm([row.p_descriptions for row in found.comparisons])
    assert [row.p_descriptions_holm for row in found.comparisons] == corrected


def test_recorded_margins(release: Path, found: Evaluation) -> None:
    first, again, _ = found.models
    assert first.recorded_difference is None
    assert again.recorded_difference == pytest.approx(0.25)
    data = open_data(str(release))
    margins = np.array([row.margin for row in data.rows], dtype=np.float32)
    exact = ScoredModel("a", sandbox_clip().weights_sha256, Scores(0 * margins, margins, ()), None)
    (same,) = summarise(data, None, [exact]).models
    assert same.recorded_difference == pytest.approx(0.0, abs=1e-7)


def test_rows_without_an_image_are_left_out_for_all(release: Path) -> None:
    data = open_data(str(release))
    found = summarise(
        data,
        None,
        [model("a", "1" * 11, skipped=(3, 4, 5)), model("b", "0" * 11, "b", skipped=(3, 4, 5, 10))],
    )
    assert found.data.rows == 7 and [item.name for item in found.data.left_out] == [
        f"row {place}" for place in (3, 4, 5, 10)
    ]
    assert found.data.pairs == (ClassPair("dog", "deer"),), "a pair without rows is none"
    assert [model.success for model in found.models] == [rate_of(7, 7), rate_of(0, 7)]
    assert len(found.row_ids) == 7 and found.row_ids[3] == data.rows[6].id
    with pytest.raises(DataError, match="none of the 11 images"):
        summarise(data, None, [model("a", "1" * 11, skipped=tuple(range(11)))])


def test_unverified_rows_are_counted(release: Path) -> None:
    data = open_data(str(release))
    rows = (replace(data.rows[0], verified=False), *data.rows[1:])
    found = summarise(replace(data, rows=rows), None, [model("a", "1" * 11)])
    assert found.data.unverified == 1 and found.models[0].success.verified == 11
