"""Whole evaluations with the sandbox's models; what is scored again, and what is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from advgen.errors import ConfigError, DataError, ModelError, SandboxError, StoreError
from advgen.evaluate.robustness import walk
from advgen.evaluate.robustness.files import evaluation_json
from advgen.evaluate.robustness.walk import EvaluationSettings, evaluate_models

SMALL = "sandbox:136?single=1&size=64"
ONE = EvaluationSettings(models=("sandbox-a",), clean="none")
BOTH = EvaluationSettings(models=("sandbox-a", "sandbox-b"), clean=SMALL)


class Listener:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which model was asked how many questions."""
    asked = []
    real = walk.score_model

    def counted(clip: Any, questions: Any, **options: Any) -> Any:
        asked.append((clip.name, len(questions.ids)))
        return real(clip, questions, **options)

    monkeypatch.setattr(walk, "score_model", counted)
    return asked


def test_only_what_is_missing_or_damaged_is_scored_again(
    release: Path, tmp_path: Path, scored: list[tuple[str, int]]
) -> None:
    first = evaluation_json(evaluate_models(str(release), BOTH, tmp_path).evaluation)
    assert scored == [("sandbox-a", 11), ("sandbox-a", 4), ("sandbox-b", 11), ("sandbox-b", 4)]
    assert {path.parent.name for path in tmp_path.rglob("*.json")} == {"models", "clean"}

    def again(spoil: Callable[[Path], object], folder: str = "models") -> list[str]:
        (path,) = (tmp_path / folder).glob("sandbox-b-*.json")
        kept = path.read_bytes()
        spoil(path)
        scored.clear()
        listener = Listener()
        found = evaluate_models(str(release), BOTH, tmp_path, listener)
        assert evaluation_json(found.evaluation) == first
        assert path.read_bytes() == kept, "scored again it is the same file"
        return listener.notes

    assert again(lambda path: None) == [] and scored == []
    assert again(lambda path: path.unlink()) == [] and scored == [("sandbox-b", 11)]
    (note,) = again(lambda path: path.write_bytes(path.read_bytes()[:50]), "clean")
    assert "sandbox-b is scored again" in note and scored == [("sandbox-b", 4)]


def test_what_changes_the_scores_asks_again(
    release: Path, tmp_path: Path, scored: list[tuple[str, int]], rewritten: Callable[..., Path]
) -> None:
    evaluate_models(str(release), ONE, tmp_path)
    prompts = EvaluationSettings(models=("sandbox-a",), clean="none", templates=("{}",))
    evaluate_models(str(release), prompts, tmp_path)
    fewer = rewritten(lambda number, row: row if number else None)
    evaluate_models(str(fewer), ONE, tmp_path)
    assert scored == [("sandbox-a", 11), ("sandbox-a", 11), ("sandbox-a", 10)]
    scored.clear()
    batches = EvaluationSettings(models=("sandbox-a",), clean="none", batch_size=3, seed=9)
    evaluate_models(str(release), batches, tmp_path)
    assert scored == [], "neither the batch nor the seed of the intervals"


def test_one_model_that_cannot_be_had_stops_no_other(release: Path, tmp_path: Path) -> None:
    names = ("sandbox-q", "sandbox-a", "ViT-B-32", "sandbox-a")
    listener = Listener()
    found = evaluate_models(
        str(release), EvaluationSettings(models=names, clean="none"), tmp_path, listener
    )
    assert [model.name for model in found.evaluation.models] == ["sandbox-a"], "once"
    assert list(found.failures) == ["sandbox-q", "ViT-B-32"]
    assert [note.split(":")[0] for note in listener.notes] == [
        "sandbox-q was left out",
        "ViT-B-32 was left out",
    ]
    with pytest.raises(ModelError, match="none of the 2 models could be scored, e.g. sandbox-q"):
        evaluate_models(str(release), EvaluationSettings(models=names[::2]), tmp_path)


def test_a_fault_of_another_kind_in_loading_is_one_of_the_model(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, **_: object) -> None:
        raise SandboxError("the weights of sandbox-a are incomplete")

    monkeypatch.setattr(walk, "load_clip", broken)
    with pytest.raises(ModelError, match="sandbox-a could not be scored: the weights"):
        evaluate_models(str(release), EvaluationSettings(models=("sandbox-a",)), tmp_path)


def test_a_folder_that_cannot_be_written_is_told_before_a_model_is_loaded(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "load_clip", None)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match=r"cannot write into .*; choose another folder"):
        evaluate_models(str(release), ONE, tmp_path / "file" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_model_too_large_stops_no_other(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = walk.load_clip

    def load(name: str, **options: Any) -> Any:
        if name == "huge":
            raise torch.OutOfMemoryError("out of memory")
        return real(name, **options)

    monkeypatch.setattr(walk, "load_clip", load)
    settings = EvaluationSettings(models=("huge", "sandbox-a"), clean="none")
    found = evaluate_models(str(release), settings, tmp_path)
    assert "does not fit into the memory" in found.failures["huge"]
    assert [model.name for model in found.evaluation.models] == ["sandbox-a"]


def test_numbers_of_a_real_evaluation(release: Path, tmp_path: Path) -> None:
    found = evaluate_models(str(release), BOTH, tmp_path).evaluation
    first = found.models[0]
    assert first.recorded_difference is not None and first.recorded_difference < 1e-6
    assert found.models[1].recorded_difference is None
    assert first.clean is not None and first.clean.images == 2
    assert first.clean_both is not None and first.clean_both.images == 4
    (path,) = (tmp_path / "models").glob("sandbox-a-*.json")
    rows = json.loads(path.read_text())
    assert rows["ids"] == list(found.row_ids)
    assert np.allclose(rows["margin"], first.margins, atol=1e-7)
    assert np.array_equal(np.array(rows["margin"]) > 0, first.margins > 0)
    document = json.loads(evaluation_json(found))
    assert document["models"][0]["margins"] == [round(margin, 6) for margin in first.margins]
    assert [row["success"]["images"] for row in document["models"]] == [11, 11]


def test_unusable_rows_and_nothing_usable(
    release: Path, rewritten: Callable[..., Path], tmp_path: Path
) -> None:
    def broken(keep: int) -> Callable[[int, dict], dict]:
        bad = {"bytes": b"no image", "path": ""}
        return lambda number, row: row if number < keep else {**row, "image": bad}

    found = evaluate_models(str(rewritten(broken(10), "one")), ONE, tmp_path / "o").evaluation
    assert found.data.rows == 10 and len(found.data.left_out) == 1
    assert "SHA-256" in found.data.left_out[0].reason
    with pytest.raises(DataError, match="none of the 11 images"):
        evaluate_models(str(rewritten(broken(0), "all")), ONE, tmp_path / "p")
    mended = evaluate_models(str(release), ONE, tmp_path / "o", listener := Listener()).evaluation
    assert mended.data.rows == 11 and mended.data.fingerprint == found.data.fingerprint
    assert len(listener.notes) == 1 and "can be used now" in listener.notes[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"models": ()}, "--model NAME"),
        ({"models": ("a",), "templates": ("a photo",)}, "{noun}"),
        ({"models": ("a",), "templates": ("{}", "a {nuon} {noun}")}, "has {nuon}, which nothing"),
        ({"models": ("a",), "templates": ("{article} big {noun}",)}, "has {article}, which"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        EvaluationSettings(**settings)
