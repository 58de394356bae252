import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from advgen.evaluate.robustness.files import evaluation_json
from advgen.evaluate.robustness.notes import notes
from advgen.evaluate.robustness.results import (
    Comparison,
    EvaluatedData,
    Evaluation,
    LeftOut,
    ModelResult,
    PairResult,
    TransferCell,
    rate_of,
)
from advgen.evaluate.robustness.tables import markdown, p_cell, rate_cell, tables
from advgen.records import ClassPair

PAIR = ClassPair("dog", "deer")


def made(*, clean: bool = True, templates: int = 1, **data: object) -> Evaluation:
    control = dict.fromkeys(("clean", "clean_both"), rate_of(8, 10) if clean else None)
    models = tuple(
        ModelResult(
            name=name,
            weights_sha256=name * 64,
            success=rate_of(hits, 20),
            sentence_interval=(0.1, 0.65),
            pairs=(PairResult(PAIR, rate_of(hits, 20), (0.1, 0.65), **control),),
            margins=np.linspace(-1, 1, 20),
            **control,
        )
        for name, hits in (("a", 10), ("b|c", 0))
    )
    facts = {"rows": 20, "clean": "folder:x" if clean else None, "licence": "CC-BY-4.0", **data}
    return Evaluation(
        EvaluatedData("ds", "0" * 64, pairs=(PAIR,), attacked=("a",), **facts),  # type: ignore[arg-type]
        models,
        tuple(TransferCell("a", m.name, m.success, rate_of(0, 0)) for m in models),
        (Comparison("a", "b|c", 20, 10, 0, 0.001953125, 0.001953125, 4, 3, 0.25, 0.5),),
        tuple(f"t{number} {{}}" for number in range(templates)),
    )


def test_every_share_has_its_interval() -> None:
    overall, pairs, transfer, given, comparisons = tables(made())
    assert overall.rows[0] == (
        "a",
        "20",
        "50.0 [29.9, 70.1]",
        "[10.0, 65.0]",
        "50.0 [29.9, 70.1]",
        "80.0 [49.0, 94.3]",
        "80.0 [49.0, 94.3]",
        "+30.0 [-6.9, +54.7]",
    )
    assert pairs.rows[0] == ("dog:deer", *overall.rows[0])
    assert transfer.rows == (("a", "20", "50.0 [29.9, 70.1]", "0.0 [0.0, 16.1]"),)
    assert given.rows == (("a", "0", "-", "-"),), "no row fooled it"
    tests = ("0.002", "0.002", "3 of 4", "0.250", "0.500")
    assert comparisons.rows == (("a", "b|c", "20", "10", "0", *tests),)
    assert len(comparisons.header) == len(set(comparisons.header)) == 10
    assert rate_cell(None) == "-"


def test_a_p_value_is_never_said_to_be_zero() -> None:
    cells = ["1.000", "0.001", "9.0e-04", "3.0e-12", "2.2e-299", "< 1e-300", "< 1e-300"]
    values = (1.0, 0.001, 0.0009, 3e-12, 2.2e-299, sys.float_info.min, 0.0)
    assert [p_cell(value) for value in values] == cells
    tests = (replace(made().comparisons[0], p=sys.float_info.min, p_descriptions=1.23456e-40),)
    (found,) = json.loads(evaluation_json(replace(made(), comparisons=tests)))["comparisons"]
    assert 0 < found["p"] < 1e-300 and found["p_descriptions"] == 1.235e-40


def test_markdown_has_tables_of_equal_columns() -> None:
    page = markdown(made(templates=80))
    assert "`t0 {}`, `t1 {}` and 78 more" in page and "`t2" not in page
    blocks = re.findall(r"(?:^\|.*\n?)+", page, flags=re.M)
    assert len(blocks) == 5
    for block in blocks:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
        assert len(columns) == 1, block
    assert "b\\|c" in page


@pytest.mark.parametrize(
    ("evaluation", "says"),
    [
        (made(clean=False), "No clean control was given"),
        (made(only_fooled=True), "by choice"),
        (made(unverified=3), "Nobody verified 3 of the 20"),
        (made(left_out=(LeftOut("r1", "no known image format"),)), "1 was left out for all models"),
        (made(clean_left_out=(LeftOut("x", "y"),) * 2), "clean images, 2 were left out"),
        (made(drawn=True), "nothing of natural images"),
    ],
)
def test_what_a_reader_has_to_know(evaluation: Evaluation, says: str) -> None:
    (said,) = notes(evaluation)
    assert says in said
    assert f"> {said}" in markdown(evaluation)
    assert notes(made()) == []


def test_scores_that_are_not_the_recorded_ones_are_told() -> None:
    found = made()
    for difference, says in ((3e-7, "as recorded, off by 3.0e-07"), (0.02, "does not score")):
        model = replace(found.models[0], recorded_difference=difference)
        (said,) = notes(replace(found, models=(model,)))
        assert says in said


def test_the_same_weights_under_two_names_are_told() -> None:
    found = made()
    models = tuple(replace(model, weights_sha256="a" * 64) for model in found.models)
    (said,) = notes(replace(found, models=models))
    assert said.startswith("a and b|c have the same weights")


def test_json_is_plain_and_rounded() -> None:
    text = evaluation_json(made())
    document = json.loads(text)
    assert text == evaluation_json(made())
    assert document["data"]["pairs"] == ["dog:deer"]
    model = document["models"][0]
    assert model["success"] == {
        "count": 10,
        "images": 20,
        "interval": [0.299298, 0.700702],
        "share": 0.5,
    }
    assert model["margin_quantiles"]["0.5"] == 0.0
    assert document["comparisons"][0]["p"] == 0.001953
    assert document["transfer"][0]["given_fooled"]["share"] is None
