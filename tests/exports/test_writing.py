import hashlib
import re
from pathlib import Path

import pytest

from advgen.errors import AdvgenError, ConfigError, DataError
from advgen.exports import FORMATS, ExportOptions, export_dataset, open_source
from advgen.exports.csv_table import CsvTable
from advgen.exports.writing import MARK
from advgen.records import ClassPair

ALL = FORMATS
FOR_REVIEW = ("label-studio", "argilla", "csv")
DOG = ClassPair("dog", "deer")


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.mark.parametrize("form", ALL)
def test_same_rows_same_bytes_and_safe_names(awkward, tmp_path, form):
    reports = [export_dataset(open_source(awkward), form, tmp_path / n) for n in ("one", "two")]
    first = tree(tmp_path / "one")
    assert first == tree(tmp_path / "two")
    assert sorted(reports[0].files) == sorted(set(first) - {MARK})
    assert reports[0].rows == 6
    for name in first:
        assert re.fullmatch(r"[\w.][\w.-]*(/[\w.][\w.-]*)*", name, re.ASCII), name
        assert len({other for other in first if other.lower() == name.lower()}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "one", "two"]


@pytest.mark.parametrize("form", ALL)
def test_runs_only_for_review(make_run, tmp_path, form):
    source = open_source(make_run())
    if form in FOR_REVIEW:
        assert export_dataset(source, form, tmp_path / "out").rows == 3
    else:
        with pytest.raises(ConfigError, match="advgen dataset build"):
            export_dataset(source, form, tmp_path / "out")


def test_only_some_pairs(awkward, tmp_path):
    source = open_source(awkward).only([DOG])
    assert export_dataset(source, "csv", tmp_path / "out").rows == len(source) == 4
    assert source.classes() == ["dog", "deer"]
    with pytest.raises(DataError, match="no rows of the pair dog:cat"):
        open_source(awkward).only([ClassPair("dog", "cat")])


def test_a_failure_leaves_nothing(awkward, tmp_path, monkeypatch):
    source = open_source(awkward)
    export_dataset(source, "csv", tmp_path / "out")
    before = tree(tmp_path / "out")

    def fail(self, built, out, options):
        (out / "half").write_text("x")
        raise KeyboardInterrupt

    monkeypatch.setattr(CsvTable, "export", fail)
    for out in ("out", "new"):
        with pytest.raises(KeyboardInterrupt):
            export_dataset(source, "csv", tmp_path / out, overwrite=True)
    assert tree(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


def test_overwrites_exports_and_nothing_else(awkward, tmp_path):
    source, out, mine = open_source(awkward), tmp_path / "out", tmp_path / "mine"
    out.mkdir()  # empty: may be used
    export_dataset(source, "csv", out)
    with pytest.raises(ConfigError, match="not empty.*--overwrite"):
        export_dataset(source, "fiftyone", out)
    export_dataset(source, "fiftyone", out, overwrite=True)
    assert (out / "labels.json").is_file() and not (out / "records.csv").exists()
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    (tmp_path / "link").symlink_to(out)
    for place, message in [
        (mine, "other files than an export"),
        (awkward, "inside one another"),
        (awkward / "data", "inside one another"),
        (tmp_path, "inside one another"),
        (mine / "thesis.txt", "not a folder"),
        (tmp_path / "link", "not a folder"),
    ]:
        with pytest.raises(ConfigError, match=message):
            export_dataset(source, "csv", place, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "precious"


def test_an_image_that_is_not_the_scored_one(make_built, make_run, tmp_path):
    built, run = make_built([{"sha256": "0" * 64}]), make_run()
    (run / "images" / "i1.png").write_bytes((run / "images" / "i0.png").read_bytes())
    for root in (built, run):
        with pytest.raises(DataError, match="not the one that was scored"):
            export_dataset(open_source(root), "csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a"}, {"id": "a"}], "'a' is there twice"),
        ([{"bytes": b"GIF89a"}], "neither PNG, JPEG nor WebP"),
        ([{"image": {"bytes": None, "path": "../run/secret"}}], "no image inside it"),
        ([{"image": {"bytes": None, "path": "lost.png"}}], "cannot read the image"),
        ([], "no rows"),
    ],
)
def test_rows_that_cannot_be_exported(make_built, tmp_path, rows, message):
    with pytest.raises(AdvgenError, match=message):
        export_dataset(open_source(make_built(rows)), "csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_format_and_folder(awkward, tmp_path):
    with pytest.raises(ConfigError, match="did you mean csv"):
        export_dataset(open_source(awkward), "cvs", tmp_path / "out")
    with pytest.raises(DataError, match="no folder"):
        open_source(tmp_path / "nowhere")


def test_many_images_get_folders(make_built, tmp_path, monkeypatch):
    monkeypatch.setattr("advgen.exports.names.FOLDER_IMAGES", 2)
    root = make_built([{} for _ in range(5)])
    report = export_dataset(open_source(root), "imagefolder", tmp_path / "out")
    folders = [name.split("/")[1] for name in report.files if name.endswith(".png")]
    assert folders == ["0000", "0000", "0001", "0001", "0002"]


def test_options_have_the_limits_of_the_format():
    options = ExportOptions()
    assert (options.shard_images, options.shard_bytes) == (10_000, 1_000_000_000)
