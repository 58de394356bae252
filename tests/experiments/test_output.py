from __future__ import annotations

import json
import math

import pytest
from matplotlib.figure import Figure

from advgen.errors import StoreError
from advgen.experiments.output import (
    percent,
    print_lines,
    print_table,
    provenance,
    result_json,
    write_result,
)
from advgen.experiments.paper import SIGNIFICANT
from advgen.imagesets.batches import Skipped


def figure() -> Figure:
    made = Figure(figsize=(2, 1))
    made.subplots().plot([1, 2])
    return made


def test_files_are_the_same_bytes_each_time(tmp_path):
    result = {"b": (1, 2.00000049), "a": {"x": math.nan, 3: None}, "c": SIGNIFICANT}
    first = write_result(tmp_path / "deep" / "one", "fig", result, figure())
    second = write_result(tmp_path / "two", "fig", result, figure())
    assert [path.name for path in first] == ["fig.json", "fig.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    read = json.loads(first[0].read_text())
    assert (read["a"], read["b"]) == ({"x": None, "3": None}, [1, 2.0])
    assert read["c"]["value"] == 2.0
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["fig.json", "fig.png"]


def test_without_a_figure_there_is_only_json(tmp_path):
    assert write_result(tmp_path, "fig", {}) == [tmp_path / "fig.json"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_result(tmp_path / "file", "fig", {})


@pytest.mark.parametrize("value", [math.inf, object()])
def test_what_is_no_plain_number_is_refused(value):
    with pytest.raises(ValueError):
        result_json({"value": value})


def test_provenance_names_what_was_skipped_and_no_clock(small_subject):
    skipped = [Skipped(3, "picture 3", "torn")]
    found = provenance(small_subject, skipped=skipped)
    assert found["images"]["skipped"] == [{"index": 3, "reason": "torn"}]
    assert found["images"]["classes"] == 136
    assert found["config"]["images"] == small_subject.config.images
    assert found["layers"] == [0, 1, 2, 3, 4]
    assert result_json(found) == result_json(provenance(small_subject, skipped=skipped))


def test_a_table_goes_to_stdout(capsys):
    print_table("title", ["what", "n"], [["[red]", 1.5], ["none", None]], [SIGNIFICANT])
    print_lines(["a line"])
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["what", "n"],
        ["[red]", "1.50"],
        ["none", "-"],
    ]
    assert lines[4].startswith("paper, abstract: ") and lines[4].endswith("below: 2.0 %")
    assert lines[5] == "a line"
    assert printed.err == ""


def test_a_short_row_is_refused():
    with pytest.raises(ValueError, match="expected 2 cells"):
        print_table("title", ["a", "b"], [["x"]])


def test_shares_in_percent():
    assert (percent(0.6312), percent(math.nan)) == ("63.1", "-")
