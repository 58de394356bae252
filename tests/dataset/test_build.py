import errno
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from doubles.runs import change_rows, write_run

from advgen.attack.records_file import read_records
from advgen.dataset import BuildSettings, DatasetLayout, build_dataset, features, read_built
from advgen.decisions import Decision, Judgement, write_rows
from advgen.errors import ConfigError, DataError, StoreError
from advgen.generation.layout import RunLayout
from advgen.judging.policy import Policy
from advgen.records import Sample
from advgen.store import sha256_file


def copy(run: RunLayout, out: Path) -> RunLayout:
    shutil.copytree(run.root, out)
    return RunLayout(out)


def tree(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in files}


def dropped(root: Path) -> list[dict]:
    lines = DatasetLayout(root).dropped.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def decision(sample: Sample, status: str, votes: int = 2) -> Decision:
    return Decision(sample.id, sample.sha256, status, True, False, votes=votes)  # type: ignore[arg-type]


def test_load_dataset_gives_the_rows_of_the_run(release: Path, run: RunLayout) -> None:
    from datasets import Image, load_dataset

    loaded = load_dataset(str(release), split="test")
    samples = read_records(run.records)
    assert loaded.features == features()
    assert len(loaded) == len(samples)
    raw = loaded.cast_column("image", Image(decode=False))
    for row, sample in zip(raw, samples, strict=True):
        assert row["image"]["bytes"] == (run.root / sample.path).read_bytes()
        assert row["id"].endswith(sample.id)
        same = ("true_class", "target_class", "description", "margin", "fooled", "sha256", "truth")
        assert {name: row[name] for name in same} == {name: getattr(sample, name) for name in same}
        assert [word["word"] for word in row["words"]] == list(sample.words)
        assert row["words"][0]["neurons"] == [{"layer": 4, "index": 28, "contribution": 0.3}]
        assert row["synthesizer"]["seed"] == sample.seed
        assert row["verification"]["status"] == "accepted"
        assert row["created_at"] == "2026-01-31"
    assert [row["safety"]["rejected_before"] for row in raw] == [0, 1, 0, 0, 0, 0]
    assert loaded[0]["image"].size == (64, 64)


def test_read_built_gives_the_same_rows_in_two_ways(release: Path) -> None:
    from datasets import Image

    built = read_built(release)
    rows = list(built.rows())
    assert rows == list(built.dataset.cast_column("image", Image(decode=False)))
    assert [row["id"] for row in built.rows(["id"], batch=2)] == [row["id"] for row in rows]
    with pytest.raises(DataError, match="lacks the column 'colour'"):
        list(built.rows(["colour"]))


def test_the_same_runs_give_the_same_bytes(release: Path, run: RunLayout, tmp_path: Path) -> None:
    elsewhere = copy(run, tmp_path / "elsewhere")
    again = tmp_path / release.name
    build_dataset([elsewhere.root], again, BuildSettings(created_at="2026-01-31"))
    assert tree(again) == tree(release)


def test_the_date_comes_from_the_environment_or_not_at_all(
    run: RunLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert build_dataset([run.root], tmp_path / "a").build["created_at"] is None
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert build_dataset([run.root], tmp_path / "b").build["created_at"] == "1970-01-02T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "noon")
    with pytest.raises(ConfigError, match="seconds since 1970; got 'noon'"):
        build_dataset([run.root], tmp_path / "c")


def test_rows_are_cut_into_files_that_hold_all_in_order(run: RunLayout, tmp_path: Path) -> None:
    report = build_dataset([run.root], tmp_path / "d", BuildSettings(shard_bytes=9000))
    names = sorted(path.name for path in (tmp_path / "d/data").iterdir())
    assert len(names) > 1
    assert names == [f"test-{i:05d}-of-{len(names):05d}.parquet" for i in range(len(names))]
    ids = [row["id"] for row in read_built(report.root).rows(["id"])]
    assert [name.partition("/")[2] for name in ids] == [s.id for s in read_records(run.records)]


def test_one_config_per_pair(tmp_path: Path) -> None:
    from datasets import get_dataset_config_names, load_dataset

    run = write_run(tmp_path / "run", ("dog:deer", "cat:fox"), images=2)
    build_dataset([run.root], tmp_path / "d", BuildSettings(per_pair=True))
    assert get_dataset_config_names(str(tmp_path / "d")) == ["dog-deer", "cat-fox"]
    loaded = load_dataset(str(tmp_path / "d"), "cat-fox", split="test")
    assert loaded["true_class"][:] == ["cat", "cat"]


def test_equal_images_go_and_the_first_stays(run: RunLayout, tmp_path: Path) -> None:
    other = copy(run, tmp_path / "other")
    report = build_dataset([run.root, other.root], tmp_path / "d")
    assert (report.rows, report.dropped) == (6, {"same file": 6})
    assert [entry["of"] for entry in dropped(tmp_path / "d")] == [
        row["id"] for row in read_built(tmp_path / "d").rows(["id"])
    ]


def test_nearly_equal_pictures_go_unless_only_equal_files_shall(
    run: RunLayout, tmp_path: Path
) -> None:
    from PIL import Image

    from advgen.generation.layout import decode_png, encode_png

    changed = copy(run, tmp_path / "changed")
    first = read_records(run.records)[0]
    image, provenance = decode_png((run.root / first.path).read_bytes())
    image.putpixel((3, 3), (1, 2, 3))
    assert isinstance(image, Image.Image)
    (changed.root / first.path).write_bytes(encode_png(image, provenance))
    sha256 = sha256_file(changed.root / first.path)
    change_rows(changed, lambda i, row: {"sha256": sha256} if i == 0 else {})
    report = build_dataset([run.root, changed.root], tmp_path / "c")
    assert report.dropped == {"same id": 1, "same file": 5}
    manifest = json.loads(changed.manifest.read_text())
    changed.manifest.write_text(json.dumps({**manifest, "seed": 7}))
    report = build_dataset([run.root, changed.root], tmp_path / "d")
    assert report.dropped == {"nearly the same picture": 1, "same file": 5}
    entry = dropped(tmp_path / "d")[0]
    assert entry["sha256"] == sha256
    assert entry["of"].endswith(first.id)
    assert entry["distance"] <= 4
    report = build_dataset([run.root, changed.root], tmp_path / "e", BuildSettings(near=None))
    assert (report.rows, report.dropped) == (7, {"same file": 5})


def test_an_unverified_image_does_not_displace_a_verified_one(
    run: RunLayout, tmp_path: Path
) -> None:
    unseen = copy(run, tmp_path / "unseen")
    blank = {"judge": "none", "p_true_present": None, "p_target_absent": None, "verified": False}
    change_rows(unseen, lambda i, row: blank)
    report = build_dataset([unseen.root, run.root], tmp_path / "d")
    assert (report.rows, report.dropped) == (6, {"not verified": 6})


def test_unverified_images_stay_out_or_are_flagged(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", judge="none")
    with pytest.raises(DataError, match="6 not verified.*--include-unverified"):
        build_dataset([run.root], tmp_path / "d")
    assert not (tmp_path / "d").exists()
    report = build_dataset([run.root], tmp_path / "d", BuildSettings(include_unverified=True))
    assert report.rows == 6
    card = read_built(report.root).card
    assert "**Not verified throughout.** 6 of 6 images" in card
    assert "Every image was verified" not in card
    assert {row["verification"]["status"] for row in read_built(report.root).rows()} == {
        "needs_review"
    }


def test_people_overrule_and_rejected_images_never_go_in(run: RunLayout, tmp_path: Path) -> None:
    own = copy(run, tmp_path / "own")
    first, second, third = read_records(own.records)[:3]
    write_rows([decision(first, "rejected"), decision(second, "unsure")], own.decisions)
    more = tmp_path / "more.jsonl"
    stale = Decision(third.id, "0" * 64, "rejected", True, False)
    write_rows([decision(second, "accepted", votes=3), stale], more)
    settings = BuildSettings(decisions=(more,), include_unverified=True)
    report = build_dataset([own.root], tmp_path / "d", settings)
    assert report.dropped == {"rejected": 1}
    rows = {row["id"].partition("/")[2]: row for row in read_built(report.root).rows()}
    assert first.id not in rows
    assert rows[second.id]["review"] == {"status": "accepted", "votes": 3, "agreement": 1.0}
    assert rows[third.id]["review"] == {"status": None, "votes": 0, "agreement": None}
    assert "People decided on 1 images" in read_built(report.root).card


def test_judges_of_two_families_verify_what_did_not_fool_the_model(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", judge="none")
    samples = read_records(run.records)
    for judge in ("vlm:m", "owlv2:m"):
        rows = [Judgement(s.id, s.sha256, judge, "r", 0.99, 0.99) for s in samples]
        write_rows(rows, run.judgements / f"{judge.partition(':')[0]}.jsonl")
    quiet = [sample.id for sample in samples if not sample.fooled]
    assert 0 < len(quiet) < len(samples)
    report = build_dataset([run.root], tmp_path / "d")
    rows = list(read_built(report.root).rows())
    assert [row["id"].partition("/")[2] for row in rows] == quiet
    assert [judge["name"] for judge in rows[0]["verification"]["judges"]] == ["owlv2:m", "vlm:m"]
    assert "wait for people and count as not verified" in read_built(report.root).card


def test_judges_that_guess_are_audited_against_the_exact_one(
    run: RunLayout, tmp_path: Path
) -> None:
    own = copy(run, tmp_path / "own")
    samples = read_records(own.records)
    for judge in ("vlm:m", "owlv2:m"):
        rows = [
            Judgement(s.id, s.sha256, judge, "r", 0.99 if index else 0.01, 0.99)
            for index, s in enumerate(samples)
        ]
        write_rows(rows, own.judgements / f"{judge.partition(':')[0]}.jsonl")
    settings = BuildSettings(policy=Policy(fooled_to_people=False))
    built = read_built(build_dataset([own.root], tmp_path / "d", settings).root)
    found = built.build["counts"]["audit"]
    assert found["reference"] == ["sandbox"]
    assert found["accepted"] == found["false_accepts"]["of"] == 5
    seen = found["questions"]["vlm:m"]["true_present"]["true_positive"]
    assert (seen["count"], seen["of"]) == (5, 6)
    low, high = (100 * bound for bound in seen["interval"])
    assert f"5 of 6, 83.3 % ({low:.1f} to {high:.1f} %)" in built.card
    assert "**Audit** of these judges against sandbox: of 5 images" in built.card
    plain = read_built(build_dataset([run.root], tmp_path / "plain").root)
    assert plain.build["counts"]["audit"] is None and "**Audit**" not in plain.card


def test_fiftyone_is_told_how_to_read_the_rows(run: RunLayout, tmp_path: Path) -> None:
    report = build_dataset([run.root], tmp_path / "d", BuildSettings(name="drawn"))
    config = yaml.safe_load(DatasetLayout(report.root).fiftyone.read_text(encoding="utf-8"))
    assert (config["name"], config["filepath"]) == ("drawn", "image")
    columns = set(read_built(report.root).dataset.column_names)
    assert {config["filepath"], *config["classification_fields"]} <= columns


def test_only_fooled(run: RunLayout, tmp_path: Path) -> None:
    fooled = [sample for sample in read_records(run.records) if sample.fooled]
    assert 0 < len(fooled) < 6
    report = build_dataset([run.root], tmp_path / "d", BuildSettings(only_fooled=True))
    assert report.rows == len(fooled)
    assert all(row["fooled"] for row in read_built(report.root).rows(["fooled"]))


def test_damaged_or_lost_images_are_named_and_nothing_is_left(
    run: RunLayout, tmp_path: Path
) -> None:
    own = copy(run, tmp_path / "own")
    path = own.root / read_records(own.records)[4].path
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"advgen", b"advgem", 1))
    with pytest.raises(DataError, match="d04-i000.png cannot be used"):
        build_dataset([own.root], tmp_path / "d")
    change_rows(own, lambda i, row: {"sha256": "0" * 64} if i == 3 else {})
    with pytest.raises(DataError, match=r"d03-i000.png is not the image that was scored"):
        build_dataset([own.root], tmp_path / "d")
    path.unlink()
    assert [entry.name for entry in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("records.parquet", "is no finished run"),
        ("words.json", "cannot read .*words.json"),
        ("manifest.json", "cannot read .*manifest.json"),
    ],
)
def test_an_unfinished_run_is_refused(
    run: RunLayout, tmp_path: Path, lost: str, message: str
) -> None:
    own = copy(run, tmp_path / "own")
    (own.root / lost).unlink()
    with pytest.raises(DataError, match=message):
        build_dataset([own.root], tmp_path / "d")


def test_a_run_named_twice_and_a_taken_folder_are_refused(run: RunLayout, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="named twice"):
        build_dataset([run.root, run.root / "."], tmp_path / "d")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is no built dataset"):
        build_dataset([run.root], tmp_path / "d", BuildSettings(overwrite=True))
    build_dataset([run.root], tmp_path / "e")
    with pytest.raises(DataError, match="--overwrite"):
        build_dataset([run.root], tmp_path / "e")


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    run: RunLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(StoreError, match="No space left on device.*free some space"):
        build_dataset([run.root], tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


def test_replacing_keeps_what_people_wrote(run: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "d"
    build_dataset([run.root], out)
    (out / "LICENSE").write_text("terms")
    card = (out / "README.md").read_text(encoding="utf-8")
    (out / "README.md").write_text(card + "\n## Thanks\n\nTo the squirrel.\n", encoding="utf-8")
    build_dataset([run.root], out, BuildSettings(overwrite=True, only_fooled=True))
    built = read_built(out)
    assert (out / "LICENSE").read_text() == "terms"
    assert built.card.rstrip().endswith("To the squirrel.")
    assert built.card.count("# d\n") == 1
    assert "Only images that fooled" in built.card
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_a_killed_build_leaves_nothing_half(run: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "d"
    script = f"""
        import os
        from pathlib import Path
        from advgen.dataset import build, build_dataset
        build.make_croissant = lambda found: os.kill(os.getpid(), 9)
        build_dataset([Path({str(run.root)!r})], Path({str(out)!r}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=120)
    assert done.returncode == -9
    assert not out.exists()
    assert (tmp_path / ".d.building/data").is_dir()
    assert build_dataset([run.root], out).rows == 6
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_a_build_killed_between_its_renames_is_put_back(run: RunLayout, tmp_path: Path) -> None:
    out = tmp_path / "d"
    build_dataset([run.root], out)
    out.rename(tmp_path / ".d.replaced")
    with pytest.raises(DataError, match="--overwrite"):
        build_dataset([run.root], out)
    assert read_built(out).build["counts"]["rows"] == 6


def test_the_release_names_no_folder_and_no_server_of_this_machine(
    run: RunLayout, tmp_path: Path
) -> None:
    from advgen.dataset.runs import public

    assert public({"a": ["imagenet:/data/in1k", "/home/me/ckpt", "~/w/x", "C:\\m\\x"]}) == {
        "a": ["imagenet:in1k", "ckpt", "x", "x"]
    }
    kept = ["a/b", "https://huggingface.co/a/b", "MIT (https://huggingface.co/a)", 3, None]
    assert public([*kept, "http://10.0.0.1:8000/v1"]) == [*kept, "(a server)"]
    text = (build_dataset([run.root], tmp_path / "d").root / "build.json").read_text()
    assert str(run.root) not in text
