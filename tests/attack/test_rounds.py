"""What the closed loop asks for next, on invented margins."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.attack.rounds import (
    RIDGE,
    Focus,
    first_focus,
    images_per_sentence,
    next_focus,
    round_of,
    sentences_in,
    word_worth,
)
from advgen.records import ClassPair, MinedWord, Sample, WordList

MINED = ("horns", "grass", "wheel", "snow", "lamp", "rope")
WORDS = WordList(
    ClassPair("dog", "deer"), "random", 0, tuple(MinedWord(word, 1.0) for word in MINED), ()
)


@pytest.fixture(scope="session")
def image(make_sample) -> Callable[..., Sample]:
    def make(text: str, margin: float, *words: str, verified: bool = True, **columns) -> Sample:
        seen = {"p_true_present": 1.0, "p_target_absent": float(verified), **columns}
        return make_sample(description=text, margin=margin, words=words, verified=verified, **seen)

    return make


def test_the_first_round_asks_for_all_words() -> None:
    assert first_focus(WORDS) == Focus(MINED)


def test_the_words_that_raise_the_margin_are_asked_for_again(image) -> None:
    samples = [
        image("a", 0.3, "snow", "lamp"),
        image("a", 0.1, "snow", "lamp"),
        image("b", 0.25, "rope", "snow"),
        image("c", -0.2, "horns", "lamp"),
        image("d", -0.4, "wheel", "horns"),
        image("e", 0.0, "grass", "rope"),
    ]
    focus = next_focus(WORDS, samples)
    assert focus.words[0] == "snow" and set(focus.words) == {"snow", "rope", "lamp"}
    assert focus.examples == ("b", "a", "e", "c", "d")
    assert set(focus.spare) == set(MINED) and focus.spare[-1] == "horns"


def test_the_worth_of_a_word_is_a_ridge_regression(image) -> None:
    used = {"a": ("horns", "grass"), "b": ("grass",), "c": ("wheel",)}
    means = {"a": 0.5, "b": 0.1, "c": -0.3}
    worth = word_worth(["horns", "grass", "wheel", "snow"], used, means)
    uses = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=float)
    centred, margins = uses - uses.mean(0), np.array([0.5, 0.1, -0.3]) - 0.1
    expected = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(4), centred.T @ margins)
    assert list(worth.values()) == pytest.approx(expected.tolist())
    assert worth["snow"] == pytest.approx(0)


def test_what_a_judge_turned_down_teaches_nothing(image) -> None:
    seen = [image("a", -0.3, "snow"), image("b", 0.3, "rope")]
    turned_down = image("deer", 9.0, "horns", verified=False)
    assert next_focus(WORDS, [*seen, turned_down]) == next_focus(WORDS, seen)


def test_without_a_judge_every_image_counts(image) -> None:
    seen = image("a", 0.1, "wheel", verified=False, p_true_present=None, p_target_absent=None)
    assert next_focus(WORDS, [seen]).examples == ("a",)


def test_when_nothing_is_known_all_words_are_asked_for_again(image) -> None:
    for samples in ([], [image("a", 1.0, verified=False)]):
        assert next_focus(WORDS, samples) == Focus(MINED)


@given(descriptions=st.integers(1, 30), rounds=st.integers(1, 30), images=st.integers(1, 200))
def test_rounds_share_sentences_and_images_evenly(
    make_config, descriptions: int, rounds: int, images: int
) -> None:
    rounds = min(rounds, descriptions)
    config = make_config(
        images=images,
        describe={"descriptions": descriptions, "rounds": rounds, "candidates": 50},
    )
    numbers = [round_of(config, number) for number in range(descriptions)]
    assert numbers == sorted(numbers) and set(numbers) == set(range(rounds))
    counts = [sentences_in(config, round) for round in range(rounds)]
    assert sum(counts) == descriptions and max(counts) - min(counts) <= 1
    assert sum(images_per_sentence(config)) == images
