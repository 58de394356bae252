import re
from collections.abc import Sequence

import pytest

from advgen.config import DescribeConfig
from advgen.errors import GenerationError
from advgen.generation import DescribeRequest
from advgen.generation.describe import choose_descriptions
from advgen.records import ClassPair, Description

PAIR = ClassPair("dog", "deer")
WORDS = ("hay", "antlers")
MANY = [f"a dog and {number} bales of hay" for number in range(30)]


class Scripted:
    """Gives the next round of a script each time it is asked."""

    name, revision = "scripted", "1"

    def __init__(self, *rounds: Sequence[str]) -> None:
        self.rounds = list(rounds)
        self.requests: list[DescribeRequest] = []

    def describe(self, request: DescribeRequest) -> list[str]:
        self.requests.append(request)
        return list(self.rounds[len(self.requests) - 1])


def choose(
    describer: Scripted, descriptions: int = 2, max_attempts: int = 3, seed: int = 1
) -> tuple[list[Description], list[Description]]:
    config = DescribeConfig(candidates=30, descriptions=descriptions, max_attempts=max_attempts)
    return choose_descriptions(describer, PAIR, WORDS, config, target_synonyms=["stag"], seed=seed)


def test_enough_at_once_is_not_asked_again() -> None:
    describer = Scripted(MANY)
    chosen, written = choose(describer, descriptions=10)
    assert len(describer.requests) == 1
    assert (describer.requests[0].pair, describer.requests[0].words) == (PAIR, WORDS)
    assert describer.requests[0].count == 30
    assert [description.text for description in written] == MANY
    assert len({description.id for description in chosen}) == 10
    assert set(chosen) < set(written)


def test_too_few_are_asked_for_again_with_another_seed_and_everything_is_kept() -> None:
    describer = Scripted(
        ["a dog in hay", "a dog and a deer", "a cat"], ["A dog in hay", "a stag", "a dog asleep"]
    )
    chosen, written = choose(describer)
    assert {description.text for description in chosen} == {"a dog in hay", "a dog asleep"}
    assert [description.reason for description in written] == [
        None,
        "names_target_class",
        "missing_true_class",
        "duplicate",
        "missing_true_class",
        None,
    ]
    assert len({description.id for description in written}) == 6
    assert len({request.seed for request in describer.requests}) == 2


def test_it_gives_up_after_the_allowed_rounds_and_counts_the_reasons() -> None:
    rounds = [["a dog in hay", "a deer", "a dog and a stag"], ["a dog in hay", "a cat"], MANY]
    describer = Scripted(*rounds)
    with pytest.raises(GenerationError) as caught:
        choose(describer, descriptions=3, max_attempts=2)
    assert len(describer.requests) == 2
    message = str(caught.value)
    assert message.startswith("dog:deer: only 1 of 3 descriptions passed after 2 rounds")
    assert re.findall(r"(\d) (\w+)[,)]", message) == [
        ("1", "duplicate"),
        ("2", "missing_true_class"),
        ("1", "synonym_of_target"),
    ]


def test_a_silent_describer_is_said_to_be_silent() -> None:
    with pytest.raises(GenerationError, match="no reply"):
        choose(Scripted([], [], []))


def test_the_choice_depends_on_the_seed_alone() -> None:
    def ids(seed: int) -> list[str]:
        return [one.id for one in choose(Scripted(MANY), descriptions=10, seed=seed)[0]]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
    assert ids(1) != sorted(ids(1)), "the first ten would not be a choice"
