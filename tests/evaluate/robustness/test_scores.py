from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from doubles.runs import sandbox_clip

from advgen.errors import ModelError
from advgen.evaluate.robustness.dataset import open_data
from advgen.evaluate.robustness.scores import (
    preprocess_digest,
    read_ahead,
    row_questions,
    score_model,
)
from advgen.models import OpenClipModel
from advgen.scoring import class_embeddings, score_pair


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (4, 0), (64, 0), (3, 2)])
def test_scores_are_those_of_the_attack(release: Path, batch: int, workers: int) -> None:
    data, clip = open_data(str(release)), sandbox_clip()
    scores = score_model(clip, row_questions(data), batch_size=batch, workers=workers)
    own = [place for place, row in enumerate(data.rows) if row.weights_sha256 != "f" * 64]
    recorded = np.array([data.rows[place].margin for place in own])
    assert len(own) == 6 and not scores.skipped
    assert np.abs(scores.margins[own] - recorded).max() < 1e-6
    for place in (7, 10):  # and for rows of another model, image by image
        pair = data.rows[place].pair
        classes = class_embeddings(
            clip, (pair.true_class, pair.target_class), data.rows[place].templates
        )
        image = clip.encode_image(clip.preprocess(data.images[place])[None])
        (wanted,) = score_pair(image, classes, clip.logit_scale)
        assert scores.cos_true[place] == pytest.approx(wanted.cos_true, abs=1e-6)
        assert scores.cos_target[place] == pytest.approx(wanted.cos_target, abs=1e-6)


def test_unusable_images_have_no_score_and_move_no_other(
    release: Path, rewritten: Callable[..., Path]
) -> None:
    bad = (0, 4, 5, 6, 7, 10)

    def change(number: int, row: dict) -> dict:
        return {**row, "image": {"bytes": b"", "path": ""}} if number in bad else row

    clip = sandbox_clip()
    whole = score_model(clip, row_questions(open_data(str(release))))
    broken = open_data(str(rewritten(change)))
    told: list[int] = []

    class Listener:
        def stage(self, name: str, total: int | None = None, done: int = 0) -> None: ...
        def note(self, message: str) -> None: ...
        def advance(self, steps: int = 1) -> None:
            told.append(steps)

    scores = score_model(clip, row_questions(broken), batch_size=4, progress=Listener())
    assert tuple(np.flatnonzero(np.isnan(scores.margins))) == bad
    assert [image.index for image in scores.skipped] == list(bad)
    left = [place for place in range(11) if place not in bad]
    assert np.allclose(scores.cos_true[left], whole.cos_true[left], atol=1e-6)
    assert np.allclose(scores.cos_target[left], whole.cos_target[left], atol=1e-6)
    assert told == [4, 4, 3]


def test_each_run_keeps_its_own_prompts(release: Path) -> None:
    from dataclasses import replace

    data = open_data(str(release))
    rows = (replace(data.rows[0], templates=("{}",)), *data.rows[1:])
    questions = row_questions(replace(data, rows=rows))
    clip = sandbox_clip()
    found, usual = score_model(clip, questions), score_model(clip, row_questions(data))
    assert questions.fingerprint != row_questions(data).fingerprint
    assert abs(found.margins[0] - usual.margins[0]) > 1e-4
    assert np.allclose(found.margins[1:], usual.margins[1:], atol=1e-6)


def test_preprocessing_is_known_by_what_it_does() -> None:
    clip = sandbox_clip()
    assert isinstance(clip, OpenClipModel)
    same = OpenClipModel(clip.model, lambda image: clip.preprocess(image), name="again")
    darker = OpenClipModel(clip.model, lambda image: clip.preprocess(image) - 0.01)
    assert preprocess_digest(clip) == preprocess_digest(same) != preprocess_digest(darker)


def test_no_memory_is_a_fault_that_says_what_to_do(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("no memory")

    clip = OpenClipModel(sandbox_clip().model, sandbox_clip().preprocess, name="large")  # type: ignore[attr-defined]
    monkeypatch.setattr(OpenClipModel, "encode_image", full)
    monkeypatch.setattr(OpenClipModel, "encode_text", lambda _, texts: torch.ones(len(texts), 2))
    with pytest.raises(ModelError, match="smaller --batch"):
        score_model(clip, row_questions(open_data(str(release))))


def test_read_ahead_keeps_order_and_faults() -> None:
    def numbers():
        yield from range(3)
        raise OSError("broken")

    assert list(read_ahead(range(5))) == [0, 1, 2, 3, 4]
    assert list(read_ahead([])) == []
    seen = []
    with pytest.raises(OSError, match="broken"):
        for number in read_ahead(numbers()):
            seen.append(number)
    assert seen == [0, 1, 2]
