import json
import shutil
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from advgen.attack.records_file import write_records
from advgen.cli import LazyGroup
from advgen.cli.dataset_export import EXPORT_FORMATS, IMPORT_FORMATS, export, import_decisions
from advgen.decisions import read_decisions
from advgen.exports import FORMATS
from advgen.exports import IMPORT_FORMATS as KNOWN_IMPORTS
from advgen.generation.layout import encode_png
from advgen.store import sha256_file


class Group(LazyGroup):
    """Prints faults as the command line does."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx, args):
        return click.Group.resolve_command(self, ctx, args)


def invoke(*arguments: object) -> Result:
    group = Group(commands={"export": export, "import": import_decisions})
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.fixture
def run(tmp_path, make_sample) -> Path:
    from PIL import Image

    root, samples = tmp_path / "run", []
    for number, target in enumerate(["deer", "deer", "horse"]):
        path = root / f"i{number}.png"
        root.mkdir(exist_ok=True)
        path.write_bytes(encode_png(Image.new("RGB", (8, 8), (number, 0, 0)), {}))
        known = {"true_class": "dog", "target_class": target, "path": path.name}
        samples.append(make_sample(id=f"i{number}", sha256=sha256_file(path), **known))
    write_records(samples, root / "records.parquet")
    return root


def test_formats_are_those_there_are():
    assert FORMATS == EXPORT_FORMATS
    assert KNOWN_IMPORTS == IMPORT_FORMATS


def test_export(run, tmp_path):
    out = tmp_path / "out"
    result = invoke("export", run, "--format", "csv", "--out", out, "--pair", "dog:deer")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}: 2 images as csv, 4 files\n"
    again = invoke("export", run, "--format", "argilla", "--out", out)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "--overwrite" in again.stderr
    result = invoke("export", run, "--format", "argilla", "--out", out, "--overwrite", "--json")
    assert json.loads(result.stdout) == {
        "format": "argilla",
        "out": str(out),
        "rows": 3,
        "files": [".argilla/dataset.json", ".argilla/settings.json", "records.json"],
    }
    assert json.loads((out / ".argilla" / "dataset.json").read_text())["name"] == "run"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--format", "parquet"], 1, "advgen dataset build"),
        (["--format", "xml"], 2, "is not one of"),
        (["--format", "csv", "--pair", "dog"], 1, "not a pair of classes"),
        (["--format", "csv", "--pair", "dog:cat"], 1, "no rows of the pair dog:cat"),
        (["--format", "csv", "--template", "a photo"], 2, "has no {noun}"),
    ],
)
def test_export_faults(run, tmp_path, arguments, code, message):
    result = invoke("export", run, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_import(run, tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("id;true_visible;target_visible\ni0;ja;nein\ni1;;\nx;1;0\ni2;1;1\n")
    result = invoke("import", sheet, "--format", "csv", "--run", run)
    assert result.exit_code == 0, result.output
    path = run / "decisions.jsonl"
    assert result.stdout == f"{path}: 2 decisions out of 2 votes (1 accepted, 1 rejected)\n"
    assert result.stderr == "note: 1 ids are not in the run: x\nnote: 1 entries have no answer\n"
    assert [(one.id, one.status) for one in read_decisions(path)] == [
        ("i0", "accepted"),
        ("i2", "rejected"),
    ]
    again = invoke("import", sheet, "--format", "csv", "--run", run)
    assert again.exit_code == 1 and "--overwrite" in again.stderr
    other = ["--out", tmp_path / "other.jsonl", "--json"]
    found = json.loads(invoke("import", sheet, "--format", "csv", "--run", run, *other).stdout)
    assert (found["decisions"], found["unknown"]) == ({"accepted": 1, "rejected": 1}, ["x"])
    assert (tmp_path / "other.jsonl").read_bytes() == path.read_bytes()


def test_import_of_nothing_writes_nothing(run, tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("id,status\nx,accepted\n")
    result = invoke("import", sheet, "--format", "csv", "--run", run)
    assert result.exit_code == 1
    assert "nothing was written" in result.stderr and "not in the run: x" in result.stderr
    assert not (run / "decisions.jsonl").exists()


def test_a_damaged_run_is_named(run, tmp_path):
    table = pq.read_table(run / "records.parquet").drop_columns(["sha256"])
    pq.write_table(table, run / "records.parquet")
    result = invoke("export", run, "--format", "csv", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "lacks the column 'sha256'" in result.stderr
    shutil.rmtree(run)
    result = invoke("export", run, "--format", "csv", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "no folder" in result.stderr
