import random
import re
from collections.abc import Sequence
from typing import Any

import pytest

from advgen.chat import DroppedLine, ListReply
from advgen.config import DescribeConfig
from advgen.errors import GenerationError, ModelError
from advgen.generation import DescribeRequest
from advgen.generation.describe import choose_descriptions
from advgen.records import ClassPair, Description
from advgen.seeds import derive_seed

PAIR = ClassPair("dog", "deer")
WORDS = ("hay", "antlers")
MANY = [f"a dog and {number} bales of hay" for number in range(30)]


class Scripted:
    """Gives the next round of a script each time it is asked."""

    name, revision = "scripted", "1"

    def __init__(self, *rounds: Sequence[str]) -> None:
        self.rounds = list(rounds)
        self.requests: list[Any] = []

    def describe(self, request: DescribeRequest) -> ListReply:
        self.requests.append(request)
        return ListReply(tuple(self.rounds[len(self.requests) - 1]), ())

    def close(self) -> None:
        pass


def choose(
    describer: Any, descriptions: int = 2, max_attempts: int = 3, seed: int = 1, **more: Any
) -> tuple[list[Description], list[Description]]:
    config = DescribeConfig(candidates=30, descriptions=descriptions, max_attempts=max_attempts)
    return choose_descriptions(
        describer, PAIR, WORDS, config, target_synonyms=["stag"], seed=seed, **more
    )


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


class Faulty(Scripted):
    """Answers with the errors of its script, or with its sentences and remarks."""

    def describe(self, request: DescribeRequest) -> ListReply:
        self.requests.append(request)
        answer: Any = self.rounds[len(self.requests) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_an_asking_that_gives_nothing_costs_an_attempt_and_is_recorded() -> None:
    describer = Faulty(
        GenerationError("the server answered with something unreadable"),
        ListReply(("a dog in hay",), (DroppedLine("Here you go:\n" + "o" * 100_000, "remark"),)),
        ListReply(("a dog asleep",), ()),
    )
    chosen, written = choose(describer)
    assert [(one.id, one.reason) for one in written] == [
        ("s000", "no_reply"),
        ("s001", None),
        ("s002", "remark"),
        ("s003", None),
    ]
    assert written[0].text == "the server answered with something unreadable"
    assert written[2].text.startswith("Here you go: ooo") and len(written[2].text) == 400
    assert len(chosen) == 2


def test_it_gives_up_on_a_describer_that_only_fails() -> None:
    describer = Faulty(*[GenerationError("no")] * 3)
    with pytest.raises(GenerationError, match=r"after 3 rounds \(3 no_reply\); mine more words"):
        choose(describer)
    assert len(describer.requests) == 3


def test_a_model_that_cannot_be_used_is_not_asked_again() -> None:
    describer = Faulty(ModelError("no such model"))
    with pytest.raises(ModelError, match="no such model"):
        choose(describer)
    assert len(describer.requests) == 1


def test_a_later_round_of_a_cell_goes_on_where_the_earlier_one_ended() -> None:
    known = [
        Description("s004", "a dog in hay", ("hay",)),
        Description("s011", "a cat", (), "missing_true_class"),
        Description("other", "a dog and a plough", ()),
    ]
    describer = Scripted(["A dog in hay.", "a cat", "a dog asleep", "a dog awake"])
    chosen, written = choose(describer, known=known, examples=["a dog in hay"], count=1)
    assert [(one.id, one.reason) for one in written] == [
        ("s012", "duplicate"),
        ("s013", "missing_true_class"),
        ("s014", None),
        ("s015", None),
    ]
    assert len(chosen) == 1 and chosen[0] in written
    (asked,) = describer.requests
    assert asked.known == ("a dog in hay", "a dog and a plough")
    assert asked.examples == ("a dog in hay",)


def test_the_describer_is_told_what_it_wrote_and_what_not_to_write() -> None:
    describer = Scripted(["a dog in hay", "a stag"], ["a dog asleep"])
    choose(describer)
    assert [request.known for request in describer.requests] == [(), ("a dog in hay",)]
    assert all(request.target_synonyms == ("stag",) for request in describer.requests)


def test_sentences_that_cannot_be_drawn_whole_are_turned_down() -> None:
    asked: list[str] = []

    def fault(prompt: str) -> str | None:
        asked.append(prompt)
        return "too_many_tokens" if "long" in prompt else None

    describer = Scripted(
        ["a long dog", "a dog and a deer", "a dog in hay", "a long dog", "a dog asleep"]
    )
    chosen, written = choose(describer, fault=fault)
    assert [one.reason for one in written] == [
        "too_many_tokens",
        "names_target_class",
        None,
        "too_many_tokens",
        None,
    ]
    assert asked == ["a long dog", "a dog in hay", "a long dog", "a dog asleep"]
    assert {one.text for one in chosen} == {"a dog in hay", "a dog asleep"}


def test_the_seeds_of_the_askings_are_those_of_earlier_runs() -> None:
    describer = Scripted(["a stag"], ["a stag"], MANY)
    chosen, written = choose(describer, descriptions=3, seed=9)
    assert [one.seed for one in describer.requests] == [
        derive_seed(9, "describe", attempt) for attempt in range(3)
    ]
    accepted = [one for one in written if one.accepted]
    assert chosen == random.Random(derive_seed(9, "choose")).sample(accepted, 3)


def test_the_choice_depends_on_the_seed_alone() -> None:
    def ids(seed: int) -> list[str]:
        return [one.id for one in choose(Scripted(MANY), descriptions=10, seed=seed)[0]]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
    assert ids(1) != sorted(ids(1)), "the first ten would not be a choice"
