import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from advgen.dataset import DatasetLayout, read_built
from advgen.dataset.redraw import pixels_sha256, redraw
from advgen.dataset.verify import verify_dataset
from advgen.errors import DataError, ModelError
from advgen.store import sha256_file

SHARD = "data/test-00000-of-00001.parquet"


@pytest.fixture
def own(release: Path, tmp_path: Path) -> Path:
    return shutil.copytree(release, tmp_path / "own")


def outcomes(root: Path, sample: int = 6) -> dict[str, str]:
    return {one.check: one.outcome for one in verify_dataset(root, sample=sample).findings}


def failed(root: Path) -> dict[str, str]:
    found = verify_dataset(root, sample=6).findings
    return {one.check: one.detail for one in found if one.outcome == "failed"}


def rewrite(root: Path, change: Callable[[list[dict]], None]) -> None:
    """Change rows and make `build.json` agree with the new file."""
    path = root / SHARD
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    say(root, path)


def say(root: Path, path: Path) -> None:
    layout = DatasetLayout(root)
    build = json.loads(layout.build.read_text(encoding="utf-8"))
    build["files"][SHARD]["sha256"] = sha256_file(path)
    layout.build.write_text(json.dumps(build), encoding="utf-8")


def test_a_fresh_build_passes_everything(release: Path) -> None:
    found = outcomes(release)
    assert len(found) == 10
    assert set(found.values()) == {"ok"}
    unasked = outcomes(release, sample=0)
    assert (unasked["margins"], unasked["redraw"]) == ("not checked", "not checked")


def test_a_flipped_byte_is_found(own: Path) -> None:
    data = bytearray((own / SHARD).read_bytes())
    data[len(data) // 2] ^= 1
    (own / SHARD).write_bytes(data)
    assert "differs from build.json" in failed(own)["files"]


def test_a_flipped_byte_of_an_image_is_found_whatever_build_json_says(own: Path) -> None:
    def flip(rows: list[dict]) -> None:
        data = bytearray(rows[2]["image"]["bytes"])
        data[-30] ^= 1
        rows[2]["image"]["bytes"] = bytes(data)

    rewrite(own, flip)
    found = failed(own)
    assert "d02-i000: the image differs from its sha256" in found["images"]
    assert "files" not in found


def test_a_missing_column_is_found(own: Path) -> None:
    table = pq.read_table(own / SHARD).drop_columns(["margin"])
    pq.write_table(table, own / SHARD)
    say(own, own / SHARD)
    found = failed(own)
    assert found["schema"] == f"{SHARD} lacks the column margin"
    assert "files" not in found


def test_a_changed_margin_is_found(own: Path) -> None:
    def change(rows: list[dict]) -> None:
        rows[1]["margin"] += 0.25
        rows[1]["cos_target"] += 0.25
        rows[1]["fooled"] = rows[1]["margin"] > 0

    before = [row["fooled"] for row in read_built(own).rows(["fooled"])]
    rewrite(own, change)
    found = failed(own)
    assert "d01-i000: margin" in found["margins"]
    assert ("rows" in found) != before[1]


@pytest.mark.parametrize(
    ("change", "check", "detail"),
    [
        (lambda rows: rows[0].update(fooled=not rows[0]["fooled"]), "rows", "contradicts"),
        (lambda rows: rows[0].update(margin=rows[0]["margin"] + 1), "rows", "is not cos_target"),
        (lambda rows: rows.append(rows[0]), "duplicates", "there twice"),
        (lambda rows: rows.pop(), "rows", "says rows 6, there are 5"),
        (lambda rows: rows[0].update(description="a dog"), "redraw", "other pixels"),
        (lambda rows: rows[0].update(description="a dog"), "images", "own provenance"),
        (lambda rows: rows[0].update(run_id="f" * 12), "rows", "has no run"),
        (lambda rows: rows[0]["verification"].update(status="needs_review"), "rows",
         "1 rows are not verified"),
        (lambda rows: rows[0].update(phash="0" * 16), "images", "phash"),
    ],
)  # fmt: skip
def test_rows_that_were_changed_are_found(
    own: Path, change: Callable[[list[dict]], None], check: str, detail: str
) -> None:
    rewrite(own, change)
    assert detail in failed(own)[check]


def test_card_metadata_and_notes_are_checked(own: Path) -> None:
    layout = DatasetLayout(own)
    card = layout.card.read_text(encoding="utf-8")
    layout.card.write_text(card.replace("license: apache-2.0", "license: mit"), encoding="utf-8")
    layout.croissant.unlink()
    layout.dropped.write_text("{}\n")
    (own / "data/extra.parquet").write_bytes((own / SHARD).read_bytes())
    assert failed(own) == {
        "files": "build.json does not know data/extra.parquet",
        "card": "the card says licence mit, build.json apache-2.0",
        "croissant": "croissant.json is missing",
        "dropped": "1 lines, build.json says 0",
    }


def test_a_model_with_other_weights_is_not_taken_for_the_attacked_one(own: Path) -> None:
    rewrite(own, lambda rows: [row["attacked_model"].update(weights_sha256="0") for row in rows])
    found = {one.check: one for one in verify_dataset(own, sample=2).findings}["margins"]
    assert (found.outcome, "other weights" in found.detail) == ("not checked", True)
    rewrite(own, lambda rows: [row["attacked_model"].update(name="sandbox-z") for row in rows])
    found = {one.check: one for one in verify_dataset(own, sample=2).findings}["margins"]
    assert (found.outcome, "sandbox-z" in found.detail) == ("not checked", True)


def test_a_row_is_enough_to_draw_its_image_again(release: Path) -> None:
    row = next(read_built(release).rows())
    assert redraw(row) == row["image"]["bytes"]
    other = {**row, "synthesizer": {**row["synthesizer"], "seed": 5}}
    assert pixels_sha256(redraw(other)) != pixels_sha256(row["image"]["bytes"])
    old = {**row, "synthesizer": {**row["synthesizer"], "revision": "old"}}
    with pytest.raises(ModelError, match="sandbox@old, installed is"):
        redraw(old)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("build.json", None, "is no built dataset"),
        ("build.json", "{", "is not JSON"),
        ("build.json", "{}", "is not of format"),
        ("README.md", None, "has no card"),
        (SHARD, None, "is missing"),
    ],
)
def test_what_is_no_dataset_is_refused(
    own: Path, name: str, text: str | None, message: str
) -> None:
    (own / name).unlink()
    if text is not None:
        (own / name).write_text(text)
    with pytest.raises(DataError, match=message):
        verify_dataset(own)
