import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advgen.sandbox.lexicon import COLORS, load_lexicon
from advgen.sandbox.tokenizer import WordTokenizer
from advgen.sandbox.vocabulary import vocabulary

TOKENIZER = WordTokenizer(("a", "dog", "on", "road"), 6)
START, END, UNKNOWN, PAD = 2, 7, 1, 0


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("a dog", [START, 3, 4, END, PAD, PAD]),
        ("A DOG!", [START, 3, 4, END, PAD, PAD]),
        ("a zebra", [START, 3, UNKNOWN, END, PAD, PAD]),
        ("road-dog 7", [START, 6, 4, UNKNOWN, END, PAD]),
        ("", [START, END, PAD, PAD, PAD, PAD]),
        ("a dog on a road a dog", [START, 3, 4, 5, 3, END]),
    ],
)
def test_a_text_becomes_one_row(text: str, row: list[int]) -> None:
    assert TOKENIZER(text).tolist() == [row]


def test_texts_are_rows_in_order() -> None:
    both = TOKENIZER(["a dog", "road"])
    assert both.dtype == torch.long
    assert torch.equal(both, torch.cat([TOKENIZER("a dog"), TOKENIZER("road")]))


def test_the_context_can_be_set_for_a_call() -> None:
    assert TOKENIZER("a dog on a road", context_length=3).tolist() == [[START, 3, END]]
    assert TOKENIZER("a", context_length=2).tolist() == [[START, END]]
    for length in (0, 1):
        with pytest.raises(ValueError, match="at least 2"):
            TOKENIZER("a", context_length=length)


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_text_ends_with_the_highest_id(texts: list[str]) -> None:
    rows = TOKENIZER(texts)
    assert rows.shape == (len(texts), 6)
    for row in rows.tolist():
        assert row[0] == START
        assert row.count(END) == 1
        end = row.index(END)
        assert row[end + 1 :] == [PAD] * (5 - end)
        assert max(row) == END < TOKENIZER.vocab_size


def test_unknown_words_are_listed() -> None:
    assert TOKENIZER.unknown("a zebra on the road") == ["zebra", "the"]


@pytest.mark.parametrize("words", [("dog", "dog"), ("dog", "<unk>")])
def test_words_that_would_share_an_id_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="distinct words"):
        WordTokenizer(words, 6)


def test_the_vocabulary_is_sorted_and_knows_the_lexicon_and_its_plurals() -> None:
    words = vocabulary(load_lexicon())
    assert words == sorted(set(words))
    assert {"dogs", "mice", "sheep", "a", "next", "grey", "two"} <= set(words)
    assert set(COLORS) <= set(words)
    tokenizer = WordTokenizer(words, 16)
    assert all(tokenizer.unknown(text) == [] for text in load_lexicon().words())
