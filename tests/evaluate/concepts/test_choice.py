"""Choosing words against a pursuit written out in numpy."""

import numpy as np
import pytest
import torch

from advgen.evaluate.concepts.choice import NOTHING, best_words, spread_words


def test_best_words_are_positive_and_ties_go_to_the_earlier() -> None:
    weights = torch.tensor([[0.5, 2.0, 0.5, -1.0], [-1.0, -2.0, 0.0, 0.25]])
    assert best_words(weights, 3).tolist() == [[1, 0, 2], [3, NOTHING, NOTHING]]
    assert best_words(weights, 9).shape == (2, 4)


def test_a_synonym_waits_for_another_thing() -> None:
    """The image is mostly along x; `hound` lies beside `dog`, `ship` across."""
    words = torch.tensor([[1.0, 0.0], [0.98, 0.199], [0.0, 3.0], [-1.0, 0.0]])
    image = torch.tensor([[1.0, 0.3]])
    assert spread_words(image, words, 4, 0.0).tolist() == [[1, 0, 2, NOTHING]]
    assert spread_words(image, words, 4, 1.0).tolist()[0][:2] == [1, 2]


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_the_pursuit_is_the_one_written_out(share: float) -> None:
    rng = np.random.default_rng(3)
    words, images = rng.normal(size=(40, 8)), rng.normal(size=(6, 8))
    found = spread_words(torch.tensor(images), torch.tensor(words), 7, share)
    for image, row in zip(images, found.tolist(), strict=True):
        left, expected = image.copy(), []
        allowed = set(np.flatnonzero(words @ image > 0).tolist())
        for _ in range(7):
            scores = words @ left
            best = max(allowed, key=lambda word: scores[word], default=NOTHING)
            if best == NOTHING or scores[best] <= 0:
                best = NOTHING
            expected.append(best)
            if best != NOTHING:
                unit = words[best] / np.linalg.norm(words[best])
                left = left - share * (left @ unit) * unit
                allowed.discard(best)
        assert row == expected
        named = [word for word in row if word != NOTHING]
        assert len(set(named)) == len(named)


def test_without_a_share_the_words_are_the_best_ones() -> None:
    torch.manual_seed(0)
    words, images = torch.randn(30, 8), torch.randn(5, 8)
    assert torch.equal(spread_words(images, words, 9, 0.0), best_words(images @ words.T, 9))


def test_an_empty_image_has_no_words() -> None:
    assert spread_words(torch.zeros(1, 3), torch.eye(3), 2, 0.5).tolist() == [[NOTHING, NOTHING]]
