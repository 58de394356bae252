import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from advgen.cli import main
from advgen.cli.attack import default_out, print_table
from advgen.records import ClassPair

ROW_KEYS = [
    "pair",
    "method",
    "repeat",
    "images",
    "fooled",
    "verified",
    "fooled_verified",
    "attack_success_rate",
    "interval",
]
COLUMNS = [
    "id",
    "true_class",
    "target_class",
    "description",
    "words",
    "method",
    "cos_true",
    "cos_target",
    "margin",
    "fooled",
    "verified",
    "seed",
    "sha256",
    "path",
]
ARGUMENTS = [
    "attack",
    "--pair",
    "dog:deer",
    "--method",
    "random-words",
    "--method",
    "similar-words",
]
SIZES = ["--images", "3", "--repeats", "2", "--lens-images", "sandbox:12", "--layers", "4"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attack") / "run"


def attack(out: Path, *more: str) -> Result:
    cache = {"ADVGEN_CACHE": str(out.parent / "cache")}
    arguments = [*ARGUMENTS, *SIZES, "--out", str(out), *more]
    result = CliRunner(env=cache).invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def finished(out: Path) -> Result:
    return attack(out, "--json")


def test_json_is_one_object_with_the_promised_keys(finished: Result, out: Path) -> None:
    document = json.loads(finished.stdout)
    assert finished.stdout.count("\n") == 1
    assert list(document) == ["run_dir", "results"]
    assert Path(document["run_dir"]) == out
    assert [list(row) for row in document["results"]] == [ROW_KEYS] * 4
    assert [(row["pair"], row["method"], row["repeat"]) for row in document["results"]] == [
        ("dog:deer", method, repeat)
        for method in ("random-words", "similar-words")
        for repeat in (0, 1)
    ]
    for row in document["results"]:
        assert row["images"] == 3
        assert row["fooled_verified"] <= min(row["fooled"], row["verified"]) <= 3
        if row["verified"]:
            assert row["attack_success_rate"] == row["fooled_verified"] / row["verified"]
            low, high = row["interval"]
            assert 0 <= low <= row["attack_success_rate"] <= high <= 1


def test_progress_goes_to_stderr(finished: Result) -> None:
    for stage in ("loading sandbox-a", "mining words", "drawing and scoring images"):
        assert stage in finished.stderr
        assert stage not in finished.stdout


def test_the_records_hold_a_row_per_image_with_the_promised_columns(
    finished: Result, out: Path
) -> None:
    table = pq.read_table(out / "records.parquet")
    assert set(COLUMNS) <= set(table.column_names)
    assert table.num_rows == len(set(table["id"].to_pylist())) == 12
    assert {str(out / path) for path in table["path"].to_pylist()} == {
        str(path) for path in (out / "images").rglob("*.png")
    }


def test_the_same_command_as_a_table_ends_with_the_report(finished: Result, out: Path) -> None:
    before = (out / "records.parquet").read_bytes()
    result = attack(out)
    assert "12 of 12 done before" in result.stderr
    assert (out / "records.parquet").read_bytes() == before
    *table, contact, report = result.stdout.splitlines()
    assert report == f"report  {out / 'report.html'}"
    assert contact == f"contact {out / 'contact.png'}"
    assert (out / "report.html").is_file() and (out / "contact.png").is_file()
    assert table[0].split()[:4] == ["pair", "method", "repeat", "images"]
    assert [line.split()[:4] for line in table[1:]] == [
        ["dog:deer", method, repeat, "3"]
        for method in ("random-words", "similar-words")
        for repeat in ("0", "1")
    ]


def test_a_row_without_a_rate_shows_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    row = dict(zip(ROW_KEYS, ["a:b", "random", 0, 8, 5, 0, 0, None, None], strict=True))
    other = {**row, "verified": 8, "attack_success_rate": 0.125, "interval": [0.0226, 0.4709]}
    print_table([row, other])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["a:b", "random", "0", "8", "5", "0", "0", "-", "-"]
    assert lines[2].split()[7:] == ["12.5%", "2.3", "-", "47.1%"]


def test_the_default_directory_tells_runs_apart() -> None:
    pairs = tuple(ClassPair("dog", other) for other in ("deer", "cat", "fox", "cow"))
    assert default_out(pairs[:1], ("random",), 0) == Path("runs/dog-deer-random-s0")
    outs = [
        default_out(pairs[:count], methods, seed)
        for count in (1, 2, 3, 4)
        for methods in (("random",), ("random", "second-order"))
        for seed in (0, 1)
    ]
    assert len(set(outs)) == len(outs)
