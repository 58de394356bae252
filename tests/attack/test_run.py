"""A small attack on the packaged sandbox in one process; how good its CLIP is does not matter."""

import json
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
from PIL import Image

from advgen.attack import Outcome, Silent, mine, run_attack
from advgen.attack.records_file import read_records
from advgen.config import AttackConfig, attack_config, read_preset
from advgen.publish import publish
from advgen.sandbox.judge import SandboxJudge
from advgen.store import ArtifactStore, sha256_file

IMAGES = 12


def config(seed: int = 0) -> AttackConfig:
    table = read_preset("sandbox")
    table["lens"]["images"] = "sandbox:60"
    return attack_config({**table, "pairs": ["dog:deer"], "images": IMAGES, "seed": seed})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    return ArtifactStore(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, store: ArtifactStore) -> Callable[[int], Outcome]:
    def once(seed: int) -> Outcome:
        return run_attack(config(seed), tmp_path_factory.mktemp("runs") / "run", store, Silent())

    return once


@pytest.fixture(scope="module")
def first(run: Callable[[int], Outcome]) -> Outcome:
    return run(0)


def images_of(outcome: Outcome) -> dict[str, bytes]:
    root = outcome.layout.root
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.png")}


def test_a_run_is_what_its_rows_say(first: Outcome) -> None:
    root = first.layout.root
    assert read_records(first.layout.records) == first.samples
    assert sorted(images_of(first)) == sorted(sample.path for sample in first.samples)
    assert len(first.samples) == IMAGES
    synonyms = ("deer", "stag", "doe", "fawn")
    for sample in first.samples:
        assert sha256_file(root / sample.path) == sample.sha256
        assert sample.fooled == (sample.margin > 0)
        assert sample.margin == pytest.approx(sample.cos_target - sample.cos_true, abs=1e-6)
        assert "dog" in sample.description.split()
        assert not set(synonyms) & set(sample.description.split())
        with Image.open(root / sample.path) as image:
            assert image.size == (128, 128)
            verdict = SandboxJudge().judge(image, json.loads(sample.truth), config().pairs[0])
        assert (verdict.verified, verdict.true_present) == (sample.verified, sample.p_true_present)
    (result,) = first.results
    assert (result.pair, result.rate.images) == ("dog:deer", IMAGES)
    assert first.manifest["attacked_model"]["weights_sha256"] == first.samples[0].weights_sha256


def test_the_same_seed_gives_the_same_run_elsewhere(
    first: Outcome, run: Callable[[int], Outcome]
) -> None:
    second = run(0)
    assert second.layout.root != first.layout.root
    tables = [pq.read_table(outcome.layout.records) for outcome in (first, second)]
    assert tables[0].equals(tables[1])
    assert images_of(first) == images_of(second)


def test_another_seed_gives_other_sentences_and_images(
    first: Outcome, run: Callable[[int], Outcome]
) -> None:
    other = run(1)
    assert not set(images_of(first).values()) & set(images_of(other).values())
    assert {s.description for s in first.samples} != {s.description for s in other.samples}


def test_words_read_back_from_a_run_are_those_that_were_mined(
    first: Outcome, store: ArtifactStore
) -> None:
    assert mine(config(), store, Silent()) == first.words


def test_report_and_contact_sheet_are_written(first: Outcome) -> None:
    files = publish(config(), first)
    assert files == [first.layout.root / "report.html", first.layout.root / "contact.png"]
    assert first.samples[0].description in files[0].read_text(encoding="utf-8")
    with Image.open(files[1]) as contact:
        contact.load()
        assert min(contact.size) > 100
