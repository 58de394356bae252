import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from advgen.cli import main
from advgen.sandbox.lexicon import load_lexicon


def sandbox(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["sandbox", *map(str, arguments)], catch_exceptions=False)


def test_draw_prints_its_files_and_says_what_it_left_out(tmp_path: Path) -> None:
    out = tmp_path / "x.PNG"
    result = sandbox("draw", "a dog and a cat, forlorn", "-o", out, "--size", 48, "--masks")
    assert result.exit_code == 0
    files = [Path(line) for line in result.stdout.splitlines()]
    assert files[0] == out
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert len(files) == 4
    assert result.stderr == "not drawn: forlorn\n"
    with Image.open(out) as image:
        assert (image.size, image.mode) == ((48, 48), "RGB")


def test_a_sentence_without_a_thing_is_drawn_and_noted(tmp_path: Path) -> None:
    result = sandbox("draw", "by the river", "-o", tmp_path / "x.png", "--size", 16)
    assert result.exit_code == 0
    assert "no thing that the sandbox can draw" in result.stderr


def test_classes_are_listed_for_people_and_for_programs() -> None:
    lexicon = load_lexicon()
    document = json.loads(sandbox("classes", "--json").stdout)
    assert document == {"classes": list(lexicon.concepts), "places": list(lexicon.places)}
    lines = sandbox("classes").stdout.splitlines()
    assert "deer  (also stag, doe, fawn)" in lines
    assert len(lines) == len(lexicon.concepts) + 1
    assert lines[-1] == f"places: {', '.join(lexicon.places)}"


def test_images_fill_an_empty_folder_only(tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    result = sandbox("images", 3, "--out", out, "--size", 16, "--single", "--seed", 5)
    assert result.exit_code == 0
    assert result.stdout == f"{out / 'metadata.jsonl'}\n"
    assert len(list(out.rglob("*.png"))) == 3
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    again = sandbox("images", 3, "--out", out)
    assert again.exit_code == 1
    assert "is not empty" in again.stderr
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["sheet"], 2, "at least one of --sprites and --scenes"),
        (["sheet", "--scenes", "{tmp}/x.pdf"], 2, "does not end in .png"),
        (["sheet", "--scenes", "{tmp}/file/x.png"], 1, "cannot write"),
        (["images", "1", "--out", "{tmp}/file"], 2, "is a file"),
        (["images", "1", "--out", "{tmp}/file/set"], 1, "cannot write"),
        (["draw", "a dog", "-o", "{tmp}/file/x.png"], 1, "cannot write"),
        (["draw", "a dog", "-o", "{tmp}/x.png", "--size", "9"], 2, "--size"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.setattr(
        "advgen.sandbox.sheets.scene_sheet", lambda: Image.new("RGB", (4, 4), "white")
    )
    (tmp_path / "file").write_text("in the way")
    result = sandbox(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert result.exit_code == code
    assert says in result.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_sheets_are_written(tmp_path: Path) -> None:
    result = sandbox("sheet", "--sprites", tmp_path / "a.png", "--scenes", tmp_path / "new/b.png")
    assert result.stdout.splitlines() == [str(tmp_path / "a.png"), str(tmp_path / "new/b.png")]
    for path in (tmp_path / "a.png", tmp_path / "new" / "b.png"):
        with Image.open(path) as sheet:
            colors = sheet.convert("RGB").getcolors(1 << 20)
            assert sheet.width > 1000
            assert colors is not None and len(colors) > 50


def test_train_hands_over_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def train(recipe, out, work, processes, threads, progress):
        calls.append((recipe.name, recipe.steps, recipe.scenes, out, work, processes, threads))
        return out

    monkeypatch.setattr("advgen.sandbox.training.job.train_checkpoint", train)
    result = sandbox("train", "sandbox-c", "--steps", 7, "--work", tmp_path, "--threads", 1)
    assert result.exit_code == 0
    assert result.stdout == "checkpoints/sandbox-c\n"
    assert calls == [("sandbox-c", 7, 240_000, Path("checkpoints/sandbox-c"), tmp_path, 2, 1)]
