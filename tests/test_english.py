import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.english import (
    inflections,
    looks_plural,
    mentions,
    names,
    plural,
    regular_plural,
    split_at,
    with_article,
    words_of,
)

PHRASES = st.text(alphabet="abcehinosxyz -'", max_size=14)


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("dog", "a dog"),
        ("elephant", "an elephant"),
        ("owl", "an owl"),
        ("unicycle", "a unicycle"),
        ("uninhabited island", "an uninhabited island"),
        ("umbrella", "an umbrella"),
        ("hourglass", "an hourglass"),
        ("house", "a house"),
        ("one-eyed cat", "a one-eyed cat"),
        ("X-ray", "an X-ray"),
        ("SUV", "an SUV"),
        ("USB stick", "a USB stick"),
        ("European robin", "a European robin"),
        ("The Hague", "The Hague"),
        (" apple ", "an apple"),
    ],
)
def test_the_article_follows_the_sound(noun: str, phrase: str) -> None:
    assert with_article(noun) == phrase


def test_nothing_has_no_article() -> None:
    with pytest.raises(ValueError, match="empty"):
        with_article("  ")


@pytest.mark.parametrize(
    ("singular", "plural_form"),
    [
        ("car", "cars"),
        ("bus", "buses"),
        ("fox", "foxes"),
        ("church", "churches"),
        ("berry", "berries"),
        ("monkey", "monkeys"),
        ("cookie", "cookies"),
        ("potato", "potatoes"),
        ("piano", "pianos"),
        ("lens", "lenses"),
        ("glass", "glasses"),
        ("shoe", "shoes"),
        ("house", "houses"),
        ("wolf", "wolves"),
        ("werewolf", "werewolves"),
        ("snowman", "snowmen"),
        ("human", "humans"),
        ("field mouse", "field mice"),
        ("sheep", "sheep"),
        ("reindeer", "reindeer"),
    ],
)
def test_plurals_and_inflections_in_both_directions(singular: str, plural_form: str) -> None:
    assert plural(singular) == plural_form
    assert {singular, plural_form} <= inflections(singular)
    assert {singular, plural_form} <= inflections(plural_form)


def test_the_regular_plural_knows_no_exceptions() -> None:
    assert [regular_plural(noun) for noun in ("mouse", "calf", "fly")] == [
        "mouses",
        "calfs",
        "flies",
    ]


@pytest.mark.parametrize("word", ["antlers", "mice", "leaves", "tin cans"])
def test_plurals_look_plural(word: str) -> None:
    assert looks_plural(word)


@pytest.mark.parametrize("word", ["antler", "grass", "lens", "cactus", "sheep", "series", ""])
def test_singulars_do_not_look_plural(word: str) -> None:
    assert not looks_plural(word)


@given(PHRASES)
def test_every_name_is_among_its_own_inflections(name: str) -> None:
    joined = " ".join(name.split())
    assert inflections(name) >= ({joined} if joined else set())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog's life.", ["a", "dog", "life"]),
        ("the deer\u2019s antlers", ["the", "deer", "antlers"]),
        ("T-shirts & x-rays", ["t-shirts", "x-rays"]),
        ("don't, 2 caf\u00e9s!", ["don't", "2", "caf\u00e9s"]),
        ("vacuum_cleaner -- 'quoted'", ["vacuum", "cleaner", "quoted"]),
        ("...", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "name", "whole", "within"),
    [
        ("a caterpillar", "cat", False, False),
        ("two Cats", "cat", True, True),
        ("a deer-like shape", "deer", False, True),
        ("a fire-truck", "truck", False, True),
        ("a stop sign", "stop sign", True, True),
        ("a stop-sign", "stop sign", False, True),
        ("stop the sign", "stop sign", False, False),
        ("the deer's antlers", "deer", True, True),
        ("an x ray", "x-ray", False, True),
        ("a St. Bernard", "st. bernard", True, True),
        ("anything", "", False, False),
    ],
)
def test_a_name_is_found_whole_or_inside_a_hyphenated_word(
    text: str, name: str, whole: bool, within: bool
) -> None:
    assert mentions(words_of(text), name) is whole
    assert names(text, name) is within


@given(st.text(max_size=30), st.text(max_size=10))
def test_any_text_and_name_can_be_compared(text: str, name: str) -> None:
    assert names(f"{text} {name}", name) or not words_of(name)


@given(st.text(max_size=40), st.sets(st.text(min_size=1, max_size=6), max_size=4))
def test_the_pieces_of_a_text_are_the_text(text: str, forms: set[str]) -> None:
    assert "".join(split_at(text, forms)) == text


def test_the_longest_whole_form_is_taken_in_any_case() -> None:
    pieces = split_at("A Stop sign, stops and a stopper", {"stop", "stop sign", "stops"})
    assert pieces[1::2] == ["Stop sign", "stops"]
