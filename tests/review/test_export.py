"""Decisions as files, read back by others."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from advgen.decisions import Decision, read_decisions
from advgen.review.export import format_of, write_decisions

DECISIONS = [
    Decision("dog-deer/d0", "ab", "accepted", True, False, (), 2, ("Ann, B", "bob"), 1.0),
    Decision("dog-deer/d1", "cd", "rejected", True, True, ("broken", "other"), 1, ("bob",), 1.0),
    Decision('dog "x"/d2', "ef", "unsure", None, None, (), 3, ("a", "b", "c"), 1 / 3),
]


def test_json_lines_are_read_back(tmp_path: Path) -> None:
    write_decisions(DECISIONS, tmp_path / "d.jsonl")
    assert read_decisions(tmp_path / "d.jsonl") == DECISIONS


def test_csv_is_read_back(tmp_path: Path) -> None:
    write_decisions(DECISIONS, tmp_path / "d.csv", "csv")
    with open(tmp_path / "d.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    answers = {"true": True, "false": False, "": None}
    read = [
        Decision(
            row["id"],
            row["sha256"],
            row["status"],  # type: ignore[arg-type]
            answers[row["true_visible"]],
            answers[row["target_visible"]],
            tuple(filter(None, row["reasons"].split(";"))),
            int(row["votes"]),
            tuple(row["reviewers"].split(";")),
            float(row["agreement"]),
        )
        for row in rows
    ]
    assert read == DECISIONS


@pytest.mark.parametrize("decisions", [DECISIONS, []])
def test_parquet_is_read_back_with_the_same_types_even_when_empty(tmp_path, decisions) -> None:
    write_decisions(decisions, tmp_path / "d.parquet", "parquet")
    table = pq.read_table(tmp_path / "d.parquet")
    assert [str(field.type) for field in table.schema] == [
        "string", "string", "string", "bool", "bool", "list<element: string>", "int64",
        "list<element: string>", "double",
    ]  # fmt: skip
    read = [
        Decision(**{**row, "reasons": tuple(row["reasons"]), "reviewers": tuple(row["reviewers"])})
        for row in table.to_pylist()
    ]
    assert read == decisions


def test_the_name_says_the_format(tmp_path: Path) -> None:
    names = ["a.csv", "a.PARQUET", "a.jsonl", "a", "a.txt"]
    found = [format_of(Path(name)) for name in names]
    assert found == ["csv", "parquet", "jsonl", "jsonl", "jsonl"]
    with pytest.raises(ValueError, match="out of jsonl"):
        write_decisions([], tmp_path / "x", "xml")  # type: ignore[arg-type]
