import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.exports import export_dataset, open_source
from advgen.exports.sheet import as_written, harmless


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@sum(A1)", "'@sum(A1)"),
        ("+49", "'+49"),
        ("-1", "'-1"),
        (" \t=1", " \t'=1"),
        ('"=1', "\"'=1"),
        ("dog;=1", "dog;'=1"),
        ("dog\n=1", "dog\n'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        ("well-known = fine", "well-known = fine"),
        ("", ""),
    ],
)
def test_formulas_are_made_harmless(text, cell):
    assert harmless(text) == cell
    assert as_written(cell) == text


@given(st.text(alphabet="=+-@';\"\t\n a\uff1d"))
def test_every_text_comes_back_and_no_cell_begins_with_a_formula(text):
    cell = harmless(text)
    assert as_written(cell) == text
    for part in cell.replace("\n", ";").replace("\t", ";").split(";"):
        assert not part.strip(' "').startswith(("=", "+", "-", "@", "\uff1d"))


def test_tables(awkward, tmp_path):
    export_dataset(open_source(awkward), "csv", tmp_path / "out")
    with open(tmp_path / "out" / "records.csv", encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    assert [row["description"] for row in records][:2] == [
        '\'=HYPERLINK("http://x")',
        "a dog;'=1+1",
    ]
    assert records[3]["target_class"] == "'@sum"
    assert records[0]["margin"] == "-0.25"  # a number stays one
    assert records[0]["verification.p_true_present"] == "0.875"
    assert records[0]["review.status"] == ""
    given = open_source(awkward).identities()
    assert {as_written(row["id"]): row["sha256"] for row in records} == given
    for row in records:
        assert (tmp_path / "out" / row["file"]).is_file()
