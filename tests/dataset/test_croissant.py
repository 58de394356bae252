import json
from pathlib import Path

import mlcroissant
import pytest

from advgen.dataset import read_built
from advgen.dataset.croissant import croissant_fault, make_croissant
from advgen.errors import ConfigError


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_mlcroissant_finds_no_fault_and_reads_the_rows(release: Path) -> None:
    path = release / "croissant.json"
    assert croissant_fault(path, read_built(release).build) is None
    text = json.loads(path.read_text(encoding="utf-8"))
    assert text["rai:dataCollection"].startswith("Drawn by sandbox")
    assert text["datePublished"].startswith("2026-01-31")
    assert "http://mlcommons.org/croissant/RAI/1.0" in text["conformsTo"]
    found = list(mlcroissant.Dataset(str(path)).records("default"))
    rows = list(read_built(release).rows())
    assert [record["default/id"].decode() for record in found] == [row["id"] for row in rows]
    assert [record["default/margin"] for record in found] == [row["margin"] for row in rows]
    seeds = [record["default/synthesizer.seed"] for record in found]
    assert seeds == [row["synthesizer"]["seed"] for row in rows]
    assert found[0]["default/image"].size == (64, 64)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("rai:dataBiases", "rai field data_biases"),
        ("distribution", "files-default"),
        ("recordSet", None),
    ],
)
def test_a_damaged_file_is_refused(
    release: Path, tmp_path: Path, key: str, fault: str | None
) -> None:
    path = tmp_path / "croissant.json"
    text = json.loads((release / "croissant.json").read_text(encoding="utf-8"))
    del text[key]
    path.write_text(json.dumps(text), encoding="utf-8")
    found = croissant_fault(path, read_built(release).build)
    assert (found is None) == (fault is None)
    assert fault is None or fault in str(found)


def test_a_date_that_is_none(release: Path) -> None:
    build = dict(read_built(release).build)
    assert "datePublished" not in json.loads(make_croissant({**build, "created_at": None}))
    with pytest.raises(ConfigError, match="'noon' is no date"):
        make_croissant({**build, "created_at": "noon"})


def test_other_files_and_other_texts(tmp_path: Path, release: Path) -> None:
    build = read_built(release).build
    other = {name: {**facts, "sha256": "0" * 64} for name, facts in build["files"].items()}
    path = release / "croissant.json"
    assert croissant_fault(path, {**build, "files": other}) == (
        "its files are not those of build.json"
    )
    for text in ("{", "{}", "[]"):
        (tmp_path / "croissant.json").write_text(text)
        assert croissant_fault(tmp_path / "croissant.json", build)
