"""docs/results.md is what the kept results say, and its commands exist."""

import json
import shlex
from pathlib import Path

import pytest

from advgen.cli import VERBS
from benchmarks.results_page import DATES, ENTRIES, PAGE, RESULTS, make_page

COMMANDS = sorted({text for entry in ENTRIES for text in (entry.sandbox, entry.real) if text})


def test_the_page_is_up_to_date() -> None:
    dates = json.loads(DATES.read_text(encoding="utf-8"))
    before = json.dumps(dates, sort_keys=True)
    assert make_page(dates) == PAGE.read_text(encoding="utf-8"), (
        "write it anew: python -m benchmarks.results_page"
    )
    assert json.dumps(dates, sort_keys=True) == before


def test_every_picture_is_there() -> None:
    pictures = [picture for entry in ENTRIES for picture in entry.pictures]
    assert len(pictures) >= 8
    assert [name for name in pictures if not (RESULTS / name).is_file()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "advgen":
        assert words[1] in VERBS
        return
    assert words[:2] == ["python", "-m"]
    module = Path(*words[2].split(".")).with_suffix(".py")
    source = (RESULTS.parent.parent / module).read_text(encoding="utf-8")
    assert '__name__ == "__main__"' in source
    parsers = ("experiment.py", "attack_options.py")
    shared = "".join((RESULTS.parent / name).read_text(encoding="utf-8") for name in parsers)
    for flag in (word for word in words if word.startswith("--")):
        assert f'"{flag}"' in source + shared
