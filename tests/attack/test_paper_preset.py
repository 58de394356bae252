"""The preset `paper` from end to end on tiny models of the real classes, loaded by path."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from advgen.cli import main
from advgen.generation.layout import decode_png

WORDS = ["moss", "tree", "wheel", "antlers", "grass", "moon", "stop sign", "automobile", "cars"]
SENTENCES = [
    "A cat beside a wheel and a stop sign",
    "A cat on grass under the moon",
    "An automobile next to a cat",
    "Two cars",
    "A cat with antlers in the moss",
]


@pytest.fixture
def attack(
    tmp_path: Path,
    server: Any,
    tiny_clip: Path,
    tiny_if: SimpleNamespace,
    tiny_sentence_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Result]:
    pool, images = tmp_path / "pool.txt", tmp_path / "images"
    pool.write_text("\n".join(WORDS) + "\n")
    images.mkdir()
    for number in range(12):
        color = (20 * number, 250 - 20 * number, 40 + 90 * (number % 3))
        Image.new("RGB", (40, 32), color).save(images / f"{number}.png")
    monkeypatch.setenv("ADVGEN_CACHE", str(tmp_path / "cache"))
    server.script = [server.answers.completion("\n".join(SENTENCES))]
    draw = {"stage1": tiny_if.stage1, "stage2": tiny_if.stage2, "steps1": 2, "steps2": 2}
    settings = {
        "model.name": f'"{tiny_clip}"',
        "lens.layers": "[0, 1, 2]",
        "lens.images": f'"{images}"',
        "lens.top_images": "8",
        "text.pool": f'"{pool}"',
        "text.nonzeros": "4",
        "mining.neurons": "6",
        "mining.words": "5",
        "mining.similarity": f'"sentence:{tiny_sentence_model}"',
        "mining.max_similarity": "1.0",
        "describe.describer": '"openai"',
        "describe.options": f'{{model = "small", url = "{server.url}"}}',
        "describe.candidates": "5",
        "describe.descriptions": "2",
        "draw.options": "{" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in draw.items()) + "}",
        "draw.batch_size": "2",
    }
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]

    def run(*more: str) -> Result:
        arguments = ["attack", "--preset", "paper", "--pair", "cat:automobile", "--images", "6"]
        arguments += [*given, "--out", str(tmp_path / "run"), *more]
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return run


def test_words_sentences_images_and_scores_of_real_classes(
    attack: Callable[..., Result], tmp_path: Path, server: Any
) -> None:
    result = attack("--json")
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["results"]
    assert (row["images"], row["verified"], row["attack_success_rate"]) == (6, 0, None)
    samples = pq.read_table(tmp_path / "run" / "records.parquet").to_pylist()
    assert {sample["description"] for sample in samples} <= {SENTENCES[n] for n in (0, 1, 4)}
    for sample in samples:
        assert sample["judge"] == "none" and sample["p_true_present"] is None
        assert sample["describer"].startswith(f"openai:small@{server.url}@")
        image, provenance = decode_png((tmp_path / "run" / sample["path"]).read_bytes())
        assert image.size == (256, 256)
        assert "DeepFloyd IF License" in provenance["licence"]
        assert provenance["batch_size"] == 2
        assert [stage["steps"] for stage in provenance["details"]["stages"]] == [2, 2]
    written = (tmp_path / "run" / "descriptions.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in written.splitlines()]
    reasons = {row["text"]: row["reason"] for row in rows}
    assert reasons["An automobile next to a cat"] == "names_target_class"
    assert reasons["Two cars"] == "missing_true_class"
    (words,) = json.loads((tmp_path / "run" / "words.json").read_text())
    dropped = {word["word"]: word["reason"] for word in words["dropped"]}
    assert {"automobile", "cars"}.isdisjoint(word["word"] for word in words["kept"])
    assert set(dropped.values()) <= {"target_class", "blocked", "similar_to_target"}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["synthesizer"]["name"] == "deepfloyd"
    (request,) = server.requests
    assert "automobile" in request["messages"][-1]["content"]

    again = attack("--json")
    assert json.loads(again.stdout) == json.loads(result.stdout)
    assert len(server.requests) == 1


def test_the_plan_of_the_same_command_touches_nothing(
    attack: Callable[..., Result], tmp_path: Path, server: Any
) -> None:
    result = attack("--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "image stage 2" in result.stdout and "6, from at most 30 draws" in result.stdout
    assert not (tmp_path / "run").exists()
    assert server.requests == []
