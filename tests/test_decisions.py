import json
from pathlib import Path

import pytest

from advgen.decisions import Decision, Judgement, read_decisions, read_judgements, write_rows
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
