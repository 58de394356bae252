import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from advgen import doctor
from advgen.cli import main
from advgen.doctor import Check

GOOD = Check("python", "ok", "3.12.1")
ODD = Check("token", "warn", "from HF_TOKEN; the Hub was not reached to check it")
BAD = Check("GPU", "fail", "none; about 27 GB are needed", "use a machine with one")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments], catch_exceptions=False)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    checks: list[Check] = []
    monkeypatch.setattr(doctor, "examine", lambda config: checks)
    return checks


@pytest.mark.parametrize(
    ("checks", "code"), [([GOOD], 0), ([GOOD, ODD], 0), ([GOOD, BAD], 1), ([BAD, ODD], 1)]
)
def test_the_exit_code_tells(checks: list[Check], code: int, found: list[Check]) -> None:
    found.extend(checks)
    for arguments in ([], ["--json"]):
        result = run(*arguments)
        assert result.exit_code == code
        assert result.stderr == ("" if code == 0 else "advgen: 1 of 2 checks failed\n")


def test_one_line_per_check(found: list[Check]) -> None:
    found.extend([GOOD, ODD, BAD])
    assert run().stdout.splitlines() == [
        "ok    python: 3.12.1",
        "warn  token: from HF_TOKEN; the Hub was not reached to check it",
        "fail  GPU: none; about 27 GB are needed -> use a machine with one",
    ]


def test_json(found: list[Check]) -> None:
    found.extend([GOOD, BAD])
    table = json.loads(run("--preset", "paper", "--json").stdout)
    assert table == {
        "preset": "paper",
        "ok": False,
        "checks": [
            {"name": "python", "state": "ok", "message": "3.12.1", "todo": ""},
            {
                "name": "GPU",
                "state": "fail",
                "message": "none; about 27 GB are needed",
                "todo": "use a machine with one",
            },
        ],
    }


def test_an_unknown_preset_is_a_usage_error() -> None:
    result = run("--preset", "nope")
    assert result.exit_code == 2 and "available: " in result.stderr


def test_the_sandbox_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADVGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    result = run("--json")
    table = json.loads(result.stdout)
    assert (result.exit_code, table["ok"]) == (0, True), result.output
    assert {check["state"] for check in table["checks"]} == {"ok"}
    assert all(set(check) == {"name", "state", "message", "todo"} for check in table["checks"])


def test_settings_are_those_of_an_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(doctor, "examine", lambda config: seen.append(config) or [GOOD])
    assert run("--pool", "words-10", "--set", "describe.options.model=m").exit_code == 0
    assert (seen[0].text.pool, seen[0].describe.options) == ("words-10", {"model": "m"})
