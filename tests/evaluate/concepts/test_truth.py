import pytest
import torch

from advgen.evaluate.concepts.truth import chance_precision, precision_at, recall_at, right_words

TEXTS = ("dog", "snow", "ship", "moss")
RIGHT = right_words(TEXTS, [{"dog", "moss", "not in the pool"}, {"ship"}, set()])
SCORES = torch.tensor([[0.9, 0.8, 0.1, 0.2], [0.5, 0.0, 0.5, -1.0], [1.0, 2.0, 3.0, 4.0]])


def test_right_words() -> None:
    assert RIGHT.tolist() == [
        [True, False, False, True],
        [False, False, True, False],
        [False] * 4,
    ]
    assert chance_precision(RIGHT).tolist() == [0.5, 0.25, 0.0]


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, [1.0, 0.0, 0.0]),  # a tie goes to the earlier word
        (2, [0.5, 0.5, 0.0]),
        (3, [2 / 3, 1 / 3, 0.0]),
        (4, [0.5, 0.25, 0.0]),  # a word that was not found is wrong, right or not
    ],
)
def test_precision_at_k(k: int, expected: list[float]) -> None:
    assert precision_at(SCORES, RIGHT, k).tolist() == pytest.approx(expected)


def test_a_right_word_without_a_score_does_not_count() -> None:
    nothing = torch.zeros(1, 4)
    assert precision_at(nothing, RIGHT[:1], 4).tolist() == [0.0]
    with pytest.raises(ValueError, match="1 to 4 words; got 5"):
        precision_at(SCORES, RIGHT, 5)


def test_recall_of_things_by_any_of_their_words() -> None:
    """Image 0 shows a thing of words 0 or 1 and one of word 2; image 1 two things; image 2 one."""
    groups = [[[0, 1], [2]], [[0], [3]], [[1, 3]]]
    assert recall_at(SCORES, groups, 1).tolist() == [0.5, 0.5, 1.0]
    assert recall_at(SCORES, groups, 4).tolist() == [1.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="at least one thing"):
        recall_at(SCORES[:1], [[]], 1)
