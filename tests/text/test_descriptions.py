from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.chat import ChatModel, DroppedLine, Message, Reply, load_prompt
from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.text.descriptions import (
    PROMPT,
    ClassDescriptions,
    DescribeSettings,
    RepeatedText,
    check_texts,
    describe_class,
    merge_classes,
    round_seed,
    text_key,
)


class Scripted:
    """Gives its answers in turn; an exception among them is raised."""

    name, revision = "scripted", "r1"

    def __init__(self, *answers: str | Reply | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int, float | None, int]] = []

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float | None = None,
        seed: int = 0,
    ) -> Reply:
        self.asked.append((messages[-1].content, max_tokens, temperature, seed))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, "stop", 100, 10, "m-1") if isinstance(answer, str) else answer

    def close(self) -> None:
        self.answers = []


def describe(
    chat: ChatModel, before: ClassDescriptions | None = None, **settings: int
) -> ClassDescriptions:
    chosen = DescribeSettings(**{"per_class": 3, **settings})
    return describe_class(chat, load_prompt(PROMPT), "cat", chosen, before=before)


def test_one_good_reply_is_enough() -> None:
    chat = Scripted("Here are 3:\n1. Image a.\n2. Image b\n3. image A\n4. Image c\n5. Image d")
    found = describe(chat)
    assert found.kept == ("Image a", "Image b", "Image c")
    assert [(line.text, line.reason) for line in found.dropped] == [
        ("Here are 3:", "remark"),
        ("image A", "duplicate"),
        ("Image d", "surplus"),
    ]
    assert (found.rounds, found.tokens, found.answered_by) == (1, (100, 10), ("m-1",))


def test_what_is_missing_is_asked_for_again_with_another_seed() -> None:
    chat = Scripted("1. Image a\n2. Image b", "Image b\nImage c")
    found = describe(chat, seed=4)
    assert found.kept == ("Image a", "Image b", "Image c")
    assert (found.rounds, found.tokens) == (2, (200, 20))
    first, second = chat.asked
    assert "Write 3 short" in first[0] and "- Image a" not in first[0]
    assert "Write 1 short" in second[0] and "- Image a\n- Image b\n" in second[0]
    assert [first[3], second[3]] == [round_seed(4, "cat", 0), round_seed(4, "cat", 1)]
    assert first[1] > second[1] > 32
    assert first[2] == DescribeSettings().temperature


def test_thinking_tokens_are_added_to_the_limit() -> None:
    plain, thinking = Scripted("Image a"), Scripted("Image a")
    describe(plain, rounds=1)
    describe(thinking, rounds=1, thinking_tokens=1000)
    assert thinking.asked[0][1] - plain.asked[0][1] == 1000


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        ("I'm sorry, I can't help with that.", ["refusal"]),
        ("", ["empty"]),
        (Reply("", "refusal", None, None, ""), ["refusal"]),
        (GenerationError("unreadable"), ["no_reply"]),
        ("1. Image a\n2. ???\n3. " + "very " * 21, ["no_words", "too_long"]),
        (Reply("1. Image a\n2. Image wi", "length", 1, 2, "m-1"), ["cut_off"]),
    ],
)
def test_a_bad_reply_is_a_reason_and_the_bound_holds(
    answer: str | Reply | Exception, reasons: list[str]
) -> None:
    chat = Scripted(answer, answer, "Image x")
    found = describe(chat, rounds=2)
    extra = [] if not found.kept else ["duplicate"]
    assert sorted(line.reason for line in found.dropped) == sorted(reasons * 2 + extra)
    assert (len(chat.asked), found.rounds) == (2, 2)


def test_a_server_that_cannot_be_used_is_not_a_bad_reply() -> None:
    with pytest.raises(ModelError, match="down"):
        describe(Scripted(ModelError("down")))


def test_asking_continues_after_earlier_rounds() -> None:
    before = describe(Scripted("no", "", ""), per_class=1, rounds=1, seed=2)
    before = ClassDescriptions("cat", (), before.dropped, rounds=3, tokens=(300, 30))
    chat = Scripted("", "Image a")
    found = describe(chat, before=before, per_class=1, seed=2)
    assert [seed for *_, seed in chat.asked] == [round_seed(2, "cat", n) for n in (3, 4)]
    assert (found.rounds, found.tokens, found.kept) == (5, (500, 50), ("Image a",))


def test_equal_texts_of_classes_belong_to_the_first() -> None:
    classes = [
        ClassDescriptions("cat", ("Image with fur", "Image at night")),
        ClassDescriptions("dog", ("image with fur", "Image with a collar")),
        ClassDescriptions("fox", ("Image at night",)),
    ]
    texts, repeated = merge_classes(classes)
    assert texts == ["Image with fur", "Image at night", "Image with a collar"]
    assert repeated == [
        RepeatedText("image with fur", "dog", "cat"),
        RepeatedText("Image at night", "fox", "cat"),
    ]


@given(st.lists(st.text(max_size=12), max_size=12), st.integers(0, 5))
def test_every_item_is_kept_once_or_dropped_with_a_reason(items: list[str], limit: int) -> None:
    kept, dropped = check_texts(items, known=["Known"], limit=limit)
    assert len(kept) + len(dropped) == len(items)
    keys = [text_key(text) for text in kept]
    assert len(set(keys)) == len(keys) <= limit
    assert "" not in keys and "known" not in keys
    assert all(isinstance(line, DroppedLine) and line.reason for line in dropped)


def test_a_class_survives_its_line_of_json() -> None:
    found = describe(Scripted("Image a\nImage a", "Image b", "Image c"))
    assert ClassDescriptions.from_json(found.as_json()) == found


@pytest.mark.parametrize("change", [{"kept": None}, {"dropped": [{"x": 1}]}, {"tokens": [1]}])
def test_a_line_of_another_kind_is_refused(change: dict[str, object]) -> None:
    value = {**ClassDescriptions("cat").as_json(), **change}
    with pytest.raises(ValueError, match="expected the descriptions of a class"):
        ClassDescriptions.from_json(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DescribeSettings(per_class=0),
        lambda: DescribeSettings(rounds=0),
        lambda: DescribeSettings(temperature=-0.1),
        lambda: DescribeSettings(temperature=float("nan")),
        lambda: DescribeSettings(thinking_tokens=-1),
    ],
)
def test_settings_that_ask_for_nothing_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()
