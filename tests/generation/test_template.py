import string

import pytest

from advgen.english import mentions, words_of
from advgen.generation.describers.template import (
    MAX_WORDS,
    MIN_WORDS,
    TemplateDescriber,
    reads_like_quality,
)
from advgen.generation.protocols import DescribeRequest
from advgen.prompts import prompt_revision, prompt_text
from advgen.records import ClassPair
from advgen.toml import read_toml

PAIR = ClassPair("owl", "airplane")
WORDS = ("antlers", "furry", "canyon", "hour", "wooden", "metallic", "rope", "{brace}", "sheep")


def request(words: tuple[str, ...] = WORDS, count: int = 80, seed: int = 1) -> DescribeRequest:
    return DescribeRequest(PAIR, words, count, seed)


def used(sentence: str, words: tuple[str, ...] = WORDS) -> list[str]:
    tokens = words_of(sentence)
    return [word for word in words if mentions(tokens, word)]


def test_every_sentence_names_the_class_and_two_to_four_words() -> None:
    for sentence in TemplateDescriber().describe(request()).items:
        assert "an owl" in sentence
        assert MIN_WORDS <= len(used(sentence)) <= MAX_WORDS, sentence


def test_every_word_gets_its_turn() -> None:
    sentences = " / ".join(TemplateDescriber().describe(request()).items)
    assert set(used(sentences)) == set(WORDS)


def test_articles_fit_the_words() -> None:
    text = " / ".join(TemplateDescriber().describe(request()).items)
    assert "a rope" in text
    assert "an hour" in text
    assert "an antlers" not in text
    assert "{brace}" in text


def test_a_request_has_one_answer_and_other_seeds_others() -> None:
    describer = TemplateDescriber()
    assert describer.describe(request()) == TemplateDescriber().describe(request())
    assert describer.describe(request()) != describer.describe(request(seed=2))
    assert describer.describe(request(count=3)).items == describer.describe(request()).items[:3]


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), {"an owl"}), (("furry",), {"an owl in a furry scene"})],
)
def test_with_few_words_the_class_is_named_all_the_same(
    words: tuple[str, ...], expected: set[str]
) -> None:
    assert set(TemplateDescriber().describe(request(words=words)).items) == expected


def test_of_many_qualities_those_that_do_not_fit_are_named_as_things() -> None:
    words = ("furry", "wooden", "metallic", "dusty")
    for sentence in TemplateDescriber().describe(request(words=words)).items:
        assert len(used(sentence, words)) >= MIN_WORDS


@pytest.mark.parametrize(
    ("word", "quality"),
    [("furry", True), ("swimming", True), ("feathered", True), ("antlers", False), ("red", False)],
)
def test_qualities_are_told_by_their_ending(word: str, quality: bool) -> None:
    assert reads_like_quality(word) is quality


@pytest.mark.parametrize("pattern", read_toml(prompt_text("sentences.toml"))["patterns"])
def test_a_pattern_names_the_subject_and_no_unknown_slot(pattern: str) -> None:
    slots = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
    assert slots.count("subject") == 1
    assert set(slots) <= {"subject", "things", "mood"}
    assert len(slots) == len(set(slots)) > 1


def test_the_revision_follows_the_patterns() -> None:
    assert TemplateDescriber().revision == prompt_revision("sentences.toml")
