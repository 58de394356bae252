"""`advgen ablate` on a few scenes of the sandbox."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from advgen.cli import main

SMALL = ("--images", "sandbox:16?single=1&size=60", "--lens-images", "sandbox:12?size=60")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    cache = tmp_path_factory.mktemp("cache")

    def invoke(*arguments: str) -> Result:
        runner = CliRunner(env={"ADVGEN_CACHE": str(cache)})
        return runner.invoke(main, ["ablate", *arguments], catch_exceptions=False)

    return invoke


def test_json_holds_rows_and_what_they_depend_on(run, tmp_path: Path) -> None:
    options = [*SMALL, "--layers", "4,3", "--treatment", "centered"]
    result = run(*options, "--json", "--out", str(tmp_path / "new"))
    printed = json.loads(result.stdout)
    assert set(printed) == {
        "accuracy",
        "config",
        "images",
        "layers",
        "lens_images",
        "model",
        "noise",
        "paper",
        "verdicts",
        "versions",
    }
    rows = printed["accuracy"]["rows"]
    assert [row["layers"] for row in rows] == [[3], [4], [3, 4]]
    assert printed["config"]["treatment"] == "centered"
    assert printed["config"]["images"] == SMALL[1]
    assert (tmp_path / "new" / "ablation.json").read_text() == result.stdout
    with Image.open(tmp_path / "new" / "ablation.png") as picture:
        assert picture.format == "PNG" and picture.width > 500
    table = run(*options).stdout
    for row in rows:
        assert f" {100 * row['ablated']:.1f} " in table
    assert table.splitlines()[-1].startswith("rank one: ")


def test_written_files_are_named(run, tmp_path: Path) -> None:
    lines = run(*SMALL, "--layers", "4", "--out", str(tmp_path)).stdout.splitlines()
    assert lines[-2:] == [f"wrote {tmp_path / name}" for name in ("ablation.json", "ablation.png")]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--preset", "sand"], 2, "unknown preset 'sand'; available: sandbox, paper"),
        (["--layers", "x"], 2, "is not a list of layers"),
        (["--treatment", "none"], 2, "'none' is not one of"),
        (["--top-images", "1"], 2, "1 is not in the range"),
        (["--layers", "3,9"], 1, "must be from 0 to 4"),
        (["--images", "sandbox:x"], 1, "write sandbox:N"),
        (["--images", "nowhere"], 1, "neither a folder"),
        (["--model", "sandbox-z"], 1, "sandbox-z"),
    ],
)
def test_wrong_use_is_one_line(run, arguments: list[str], code: int, message: str) -> None:
    result = run(*SMALL, *arguments)
    assert result.exit_code == code
    assert message in result.stderr.replace("\n", " ")
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_images_without_labels(run, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "one.png")
    result = run(*SMALL, "--images", str(tmp_path))
    assert result.exit_code == 1
    assert "have no labels" in result.stderr


def test_out_must_be_a_folder(run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(*SMALL, "--out", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "is a file" in result.stderr
