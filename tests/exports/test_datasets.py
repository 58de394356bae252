"""imagefolder and Parquet, read by `datasets` itself."""

import io
from pathlib import Path

import datasets
import pytest
from PIL import Image

from advgen.exports import export_dataset, open_source


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def test_parquet_round_trip(awkward, tmp_path, monkeypatch):
    monkeypatch.setattr("advgen.exports.parquet.FILE_ROWS", 4)
    report = export_dataset(open_source(awkward), "parquet", tmp_path / "out")
    assert report.files == tuple(f"data/test-0000{i}-of-00002.parquet" for i in (0, 1))
    found = datasets.load_dataset(str(tmp_path / "out"), split="test")
    given = datasets.load_dataset(str(awkward), split="test")
    assert found.features == given.features
    raw = [part.cast_column("image", datasets.Image(decode=False)) for part in (found, given)]
    for row, expected in zip(*raw, strict=True):
        assert row.pop("image")["bytes"] == expected.pop("image")["bytes"]
        assert row == expected


def test_imagefolder_round_trip(awkward, tmp_path):
    export_dataset(open_source(awkward), "imagefolder", tmp_path / "out")
    found = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), split="test")
    rows = {row.id: row for row in open_source(awkward).rows()}
    assert sorted(found["id"]) == sorted(rows)
    for row in found:
        given = rows[row["id"]]
        with Image.open(io.BytesIO(given.image)) as image:
            assert image.tobytes() == row["image"].tobytes()
        for name in ("true_class", "description", "sha256", "words", "verification"):
            assert row[name] == given.columns[name]
