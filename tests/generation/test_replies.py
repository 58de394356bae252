import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.generation.replies import MAX_WORDS, check_reply
from advgen.records import ClassPair, Description

PAIR = ClassPair("dog", "deer")
WORDS = ("antlers", "forest floor", "hay")


def check(text: str, pair: ClassPair = PAIR, seen: frozenset[str] = frozenset()) -> Description:
    return check_reply(
        text, id="s1", pair=pair, words=WORDS, target_synonyms=("stag", "fallow buck"), seen=seen
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A dog next to antlers.", None),
        ("Two DOGS in the hay", None),
        ("the dog's bowl", None),
        ("a dog and a reindeer", None),
        ("a dog, a staggering view", None),
        ("", "empty"),
        (" \n\t", "empty"),
        ("...!", "empty"),
        ("a hot-dog stand", "missing_true_class"),
        ("a dogma", "missing_true_class"),
        ("a cat", "missing_true_class"),
        ("a dog and a deer", "names_target_class"),
        ("a dog and a Deer's antlers", "names_target_class"),
        ("a dog and a deer\u2019s antlers", "names_target_class"),
        ("a dog with a deer-like face", "names_target_class"),
        ("a dog and two stags", "synonym_of_target"),
        ("a dog by fallow bucks", "synonym_of_target"),
        ("a dog " + "very " * (MAX_WORDS - 2), None),
        ("a dog " + "very " * (MAX_WORDS - 1), "too_long"),
        ("a dog " + "o" * 400, "too_long"),
        ("a dog and a hirsch", None),
        ("ein dog und ein hirsch", "not_english"),
        ("a dog von der Heide on the hay", None),
        ("a dog, \u9e7f", "not_english"),
        ("\u0441\u043e\u0431\u0430\u043a\u0430", "not_english"),
        ("a na\u00efve dog in a \u00c6r\u00f8 caf\u00e9", None),
        ("a dog, 4\u00b0 above \u20ac 5", None),
    ],
)
def test_a_reply_is_accepted_or_turned_down_with_the_reason(text: str, reason: str | None) -> None:
    assert check(text).reason == reason


def test_class_names_of_two_words_are_found_together_only() -> None:
    pair = ClassPair("stop sign", "yield sign")
    assert check("two stop signs", pair).reason is None
    assert check("stop at the sign", pair).reason == "missing_true_class"
    assert check("a stop sign and a yield-sign", pair).reason == "names_target_class"


def test_an_accepted_sentence_is_a_duplicate_however_it_is_spelt_out() -> None:
    seen = frozenset({"a dog in hay"})
    assert check("A  dog in\nHay", seen=seen).reason == "duplicate"
    assert check("A dog in hay.", seen=seen).reason == "duplicate"
    assert check("a dog in the hay", seen=seen).reason is None


def test_the_words_that_occur_are_recorded_in_the_order_they_were_mined() -> None:
    reply = check("Hay on the forest   floor, one antler, a dog")
    assert reply == Description(
        "s1", "Hay on the forest floor, one antler, a dog", ("antlers", "forest floor", "hay")
    )
    assert check("a dog on the floor of a haystack").words == ()


def test_a_sentence_of_any_length_is_recorded_short() -> None:
    reply = check("a dog on hay " * 10_000)
    assert (reply.reason, reply.words, len(reply.text)) == ("too_long", (), 400)
    assert reply.text.endswith("...")


@given(st.text(max_size=80))
def test_any_reply_gives_a_description(text: str) -> None:
    reply = check(text)
    assert reply.text == " ".join(text.split())
    assert reply.accepted == (reply.reason is None)
    assert set(reply.words) <= set(WORDS)
