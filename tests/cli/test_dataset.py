import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from doubles.runs import write_run

from advgen.cli.dataset import ELSEWHERE, HELP, dataset
from advgen.errors import ConfigError, DataError
from advgen.generation.layout import RunLayout


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(dataset, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    return write_run(tmp_path_factory.mktemp("runs") / "run", images=3)


def test_build_and_verify(run: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "d"
    result = call("build", run.root, "--out", out, "--name", "Dogs", "--date", "2026-01-31")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "licence   Apache-2.0",
        "images    3",
        f"dataset   {out}",
    ]
    assert "pretty_name: Dogs" in (out / "README.md").read_text(encoding="utf-8")
    checked = call("verify", out, "--sample", 1, "--json")
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["passed"] is True
    (out / "croissant.json").unlink()
    checked = call("verify", out, "--sample", 0)
    assert checked.exit_code == 1
    assert "failed       croissant   croissant.json is missing" in checked.stdout
    assert "not checked  margins" in checked.stdout


def test_build_says_what_it_left_out(run: RunLayout, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.symlink_to(run.root)
    twin = write_run(tmp_path / "twin", images=3)
    result = call("build", run.root, twin.root, "--out", tmp_path / "d")
    assert result.stdout.splitlines()[0] == "left out  3  same file"
    with pytest.raises(ConfigError, match="named twice"):
        call("build", run.root, other, "--out", tmp_path / "e")
    with pytest.raises(DataError, match="--overwrite"):
        call("build", run.root, "--out", tmp_path / "d")
    again = call("build", run.root, "--out", tmp_path / "d", "--overwrite", "--json", "--near", -1)
    assert json.loads(again.stdout)["rows"] == 3


def test_verbs_of_other_files_are_listed_and_found() -> None:
    listed = call("--help").stdout
    assert all(f"  {name} " in listed for name in ("build", "verify", *ELSEWHERE))
    assert set(HELP) == set(ELSEWHERE)
    for name in ELSEWHERE:
        assert call(name, "--help").exit_code == 0
