from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from doubles.runs import sandbox_clip

from advgen.evaluate.robustness.dataset import open_data
from advgen.evaluate.robustness.score_file import ScoreFile
from advgen.evaluate.robustness.scores import Questions, Scores, row_questions
from advgen.imagesets.batches import Skipped


@pytest.fixture(scope="module")
def questions(release: Path) -> Questions:
    return row_questions(open_data(str(release)))


@pytest.fixture
def scores() -> Scores:
    generator = np.random.default_rng(0)
    true, target = generator.normal(size=(2, 11)).astype(np.float32)
    true[4] = target[4] = np.nan
    target[0], true[1] = np.nextafter(true[0], np.float32(9)), target[1]
    return Scores(true, target, (Skipped(4, "row 4", "broken"),))


def test_what_is_written_is_read_bit_for_bit(
    tmp_path: Path, questions: Questions, scores: Scores
) -> None:
    kept = ScoreFile.of(tmp_path, "/models/of mine@x", sandbox_clip(), questions)
    assert kept.read(questions) == (None, "")
    kept.write(questions, scores)
    found, reason = kept.read(questions)
    assert found is not None and reason == ""
    assert found.cos_true.tobytes() == scores.cos_true.tobytes()
    assert found.cos_target.tobytes() == scores.cos_target.tobytes()
    assert found.skipped == scores.skipped
    assert (found.margins[0] > 0, found.margins[1] > 0) == (True, False)
    assert kept.path.parent == tmp_path and kept.path.name.startswith("models_of_mine_x-")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:500], "damaged"),
        (lambda data: data.replace(b'"ids"', b'"idz"'), "SHA-256"),
        (lambda data: data.replace(b" 0.", b" 0.1", 1), "SHA-256"),
        (lambda data: b"[]", "damaged"),
        (lambda data: b"{}", "damaged"),
        (lambda data: b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_damaged_file_is_not_believed(
    tmp_path: Path,
    questions: Questions,
    scores: Scores,
    damage: Callable[[bytes], bytes],
    says: str,
) -> None:
    kept = ScoreFile.of(tmp_path, "m", sandbox_clip(), questions)
    kept.write(questions, scores)
    kept.path.write_bytes(damage(kept.path.read_bytes()))
    found, reason = kept.read(questions)
    assert found is None and says in reason


def test_a_file_of_another_model_is_not_believed(
    tmp_path: Path, questions: Questions, scores: Scores
) -> None:
    first, second = (ScoreFile.of(tmp_path, name, sandbox_clip(), questions) for name in "ab")
    assert first.path != second.path
    first.write(questions, scores)
    first.path.rename(second.path)
    found, reason = second.read(questions)
    assert found is None and "something else" in reason
