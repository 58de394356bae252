"""`advgen evaluate` on a few drawn images."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from doubles.runs import write_run
from PIL import Image

from advgen.cli import main
from advgen.dataset import BuildSettings, build_dataset

SMALL = ("--clean", "sandbox:136?single=1&size=64")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluate")
    write_run(root / "run", images=3)
    build_dataset([root / "run"], root / "dogs", BuildSettings())
    return root / "dogs"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)], catch_exceptions=False)


def last_line(result: Result) -> str:
    return result.stderr.strip().splitlines()[-1]


def test_files_tables_and_a_rank(release: Path, tmp_path: Path) -> None:
    out, board = tmp_path / "out", tmp_path / "board.json"
    models = ("--model", "sandbox-a", "--model", "sandbox-b", "--model", "sandbox-a")
    result = call(release, *models, "--out", out, *SMALL, "--leaderboard", board)
    assert result.exit_code == 0, result.stderr
    assert "note: sandbox-a is named twice; it counts once" in result.stderr
    names = [
        "evaluation.md",
        "evaluation.html",
        "success_bars.png",
        "margin_distributions.png",
        "transfer_heatmap.png",
        "evaluation.json",
    ]
    wrote = [line for line in result.stdout.splitlines() if line.startswith("wrote ")]
    files = [*(out / name for name in names), board, board.with_suffix(".md")]
    assert wrote == [f"wrote {path}" for path in files]
    for name in names[2:5]:
        with Image.open(out / name) as picture:
            assert picture.format == "PNG" and picture.width > 300
    document = json.loads((out / "evaluation.json").read_text())
    assert [model["name"] for model in document["models"]] == ["sandbox-a", "sandbox-b"]
    assert document["data"]["name"] == "dogs"
    lines = (out / "evaluation.md").read_text().splitlines()
    for model in document["models"]:
        share = f"{100 * model['success']['share']:.1f} ["
        assert any(line.startswith(f"| {model['name']} | 3 | {share}") for line in lines)
        assert f"{model['name']}       3" in result.stdout
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert "sandbox-b" in page and "</html>" in page
    assert len(json.loads(board.read_text())["rows"]) == 2
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = call(release, *models, "--out", out, *SMALL, "--json")
    assert again.stdout == (out / "evaluation.json").read_text(encoding="utf-8")
    assert "scoring with sandbox-b: done before" in again.stderr
    assert {path: path.read_bytes() for path in before} == before
    fewer = call(release, "--model", "sandbox-b", "--out", out, *SMALL)
    assert "compared sandbox-a too; their scores are kept there" in fewer.stderr
    assert "compared" not in again.stderr


def test_a_model_that_is_not_there_does_not_stop_the_others(release: Path, tmp_path: Path) -> None:
    result = call(
        release, "--model", "nope", "--model", "sandbox-a", "--clean", "none", "--out", tmp_path
    )
    assert result.exit_code == 1
    assert result.stderr.count("nope was left out: unknown model 'nope'") == 1
    assert last_line(result) == "error: not scored, see above: nope"
    assert "sandbox-a" in result.stdout and (tmp_path / "evaluation.json").is_file()
    assert "No clean control was given" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["{release}"], 2, "--model"),
        (["{release}", "--model", "sandbox-a", "--batch", "0"], 2, "--batch"),
        (["{release}", "--model", "sandbox-a", "--seed", "-1"], 2, "--seed"),
        (["{release}", "--model", "sandbox-a", "--workers", "-1"], 2, "--workers"),
        (["{release}", "--model", "sandbox-a", "--leaderboard", "b.md"], 2, "must end in .json"),
        (["{release}", "--model", "sandbox-a", "--out", "{file}"], 2, "is a file"),
        (["{release}", "--model", "sandbox-a", "--leaderboard", "{file}.json"], 1, "advgen-leader"),
        (["{release}", "--model", "sandbox-a", "--out", "{foreign}"], 1, "other things"),
        (["{release}", "--model", "sandbox-a", "--out", "{release}/x"], 1, "lies in the data set"),
        (["{release}", "--model", "sandbox-a", "--out", "{file}/x"], 1, "cannot write into"),
        (["{release}", "--model", "sandbox-a", "--template", "a photo"], 1, "{noun}"),
        (["{release}", "--model", "sandbox-a", "--clean", "sandbx:9"], 1, "did you mean sandbox:"),
        (["{release}", "--model", "sandbox-a", "--clean", "{foreign}"], 1, "holds no image"),
        (["{release}", "--model", "sandbox-a", "--device", "abacus"], 1, "try 'cpu'"),
        (["{release}", "--model", "sandbx-a"], 1, "did you mean sandbox-a"),
        (["{foreign}", "--model", "sandbox-a"], 1, "no built dataset"),
        (["nowhere", "--model", "sandbox-a"], 1, "there is no folder nowhere"),
        (["hf:nowhere//x", "--model", "sandbox-a"], 1, "hf:OWNER/NAME"),
    ],
)
def test_faults_are_one_line(
    release: Path, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    foreign, file = tmp_path / "foreign", tmp_path / "file"
    foreign.mkdir()
    (foreign / "holiday.txt").write_text("mine")
    file.write_text("")
    Path(f"{file}.json").write_text('{"schema": "other"}')
    places = {"{release}": str(release), "{foreign}": str(foreign), "{file}": str(file)}

    def filled(text: str) -> str:
        for name, path in places.items():
            text = text.replace(name, path)
        return text

    out = () if "--out" in arguments else ("--out", tmp_path / "out")
    result = call(*map(filled, arguments), *out)
    assert result.exit_code == code, result.stderr
    assert says in last_line(result), result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "evaluation.json").exists()
    assert [path.name for path in foreign.iterdir()] == ["holiday.txt"]


def test_default_folder_is_named_after_the_data(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(release, "--model", "sandbox-a", "--clean", "none")
    assert result.exit_code == 0
    assert (tmp_path / "runs" / "evaluations" / "dogs" / "evaluation.json").is_file()


def test_a_damaged_image_is_named(release: Path, tmp_path: Path) -> None:
    root = _with_first_image(release, tmp_path, lambda data: data[:-30])
    result = call(root, "--model", "sandbox-a", "--clean", "none", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "Of unusable images, 1 was left out for all models" in result.stdout
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert len(document["data"]["left_out"]) == 1 and document["data"]["rows"] == 2


def _with_first_image(release: Path, folder: Path, change: Callable[[bytes], bytes]) -> Path:
    import pyarrow.parquet as pq

    root = folder / "damaged"
    shutil.copytree(release, root)
    (file,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(file)
    rows = table.to_pylist()
    rows[0]["image"]["bytes"] = change(rows[0]["image"]["bytes"])
    pq.write_table(table.from_pylist(rows, schema=table.schema), file)
    return root
