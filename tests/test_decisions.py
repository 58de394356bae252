import json
from pathlib import Path

import pytest

from advgen.decisions import (
    Decision,
    Judgement,
    Opinion,
    Status,
    decide,
    read_decisions,
    read_judgements,
    write_rows,
)
from advgen.errors import DataError

JUDGEMENT = Judgement("a/b/r0/d00-i000", "0" * 64, "owlv2", "1", 0.75, 0.5)
DECISION = Decision("a", "1" * 64, "rejected", True, None, ("unclear",), 3, ("ann", "bo"), 2 / 3)


def test_rows_come_back(tmp_path: Path) -> None:
    write_rows([JUDGEMENT, JUDGEMENT], tmp_path / "j" / "owlv2.jsonl")
    assert read_judgements(tmp_path / "j" / "owlv2.jsonl") == [JUDGEMENT, JUDGEMENT]
    write_rows([DECISION], tmp_path / "d.jsonl")
    assert read_decisions(tmp_path / "d.jsonl") == [DECISION]


def test_fields_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    write_rows([DECISION], tmp_path / "d.jsonl")
    row = json.loads((tmp_path / "d.jsonl").read_text())
    (tmp_path / "d.jsonl").write_text(json.dumps({**row, "colour": "red"}) + "\n\n")
    assert read_decisions(tmp_path / "d.jsonl") == [DECISION]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"id": "a"}', '{"status": "maybe"}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    write_rows([DECISION], tmp_path / "d.jsonl")
    with (tmp_path / "d.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match="line 2: not a decision"):
        read_decisions(tmp_path / "d.jsonl")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_judgements(tmp_path / "no.jsonl")


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a status out of accepted"):
        Decision("a", "b", "fine", True, False)  # type: ignore[arg-type]


def said(status: Status, votes: int, **more) -> Opinion:
    return Opinion(status=status, true_visible=True, target_visible=None, votes=votes, **more)


@pytest.mark.parametrize(
    ("counts", "status", "agreement"),
    [
        ({"accepted": 3, "rejected": 2}, "accepted", 3 / 5),
        ({"accepted": 3, "rejected": 2, "unsure": 1}, "unsure", 1 / 6),
        ({"rejected": 4, "accepted": 3}, "rejected", 4 / 7),
        ({"unsure": 1}, "unsure", 1.0),
    ],
)
def test_votes_weigh(counts, status, agreement) -> None:
    found = decide("s", "h", [said(name, votes) for name, votes in counts.items()])
    assert (found.status, found.votes) == (status, sum(counts.values()))
    assert found.agreement == pytest.approx(agreement)


def test_reasons_are_those_of_who_rejects() -> None:
    opinions = [
        said("rejected", 2, reasons=("unclear",), reviewers=("b",)),
        said("accepted", 1, reasons=("broken",), reviewers=("a",)),
    ]
    found = decide("s", "h", opinions)
    assert (found.reasons, found.reviewers) == (("unclear",), ("a", "b"))
    assert decide("s", "h", opinions[1:]).reasons == ()
    with pytest.raises(ValueError, match="at least one vote"):
        decide("s", "h", [])
