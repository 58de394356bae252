import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advgen.errors import DataError
from advgen.mining import (
    LetterEncoder,
    TargetFilter,
    joined_block_lists,
    keep_words,
    packaged_block_list,
    read_block_list,
)
from advgen.records import DroppedWord, MinedWord


def reasons(words: TargetFilter, listed: list[str], target: str) -> list[str | None]:
    return [reason for reason, _ in words.verdicts(listed, target)]


FILTER = TargetFilter(
    synonyms={"automobile": ("car", "motor car"), "deer": ("stag",)},
    blocked={"automobile": ("tesla",)},
)


@pytest.mark.parametrize(
    ("word", "target", "reason"),
    [
        ("automobile", "automobile", "target_class"),
        ("Automobiles", "automobile", "target_class"),
        ("old automobile", "automobile", "target_class"),
        ("cars", "automobile", "synonym_of_target"),
        ("motor cars", "automobile", "synonym_of_target"),
        ("car-like", "automobile", "synonym_of_target"),
        ("tesla", "automobile", "blocked"),
        ("tesla", "truck", None),
        ("carpet", "automobile", None),
        ("motor", "automobile", None),
        ("antlers", "deer", None),
        ("reindeer", "deer", None),
        ("stags", "deer", "synonym_of_target"),
        ("yield", "yield sign", None),
        ("yield signs", "yield sign", "target_class"),
    ],
)
def test_words_that_name_the_target_are_told_from_those_that_go_with_it(
    word: str, target: str, reason: str | None
) -> None:
    assert FILTER.reason(word, target) == reason


def test_all_nouns_of_a_class_start_with_its_name() -> None:
    assert FILTER.nouns("deer") == ("deer", "stag")
    assert FILTER.nouns("owl") == ("owl",)


def ranked(*words: str) -> list[MinedWord]:
    return [MinedWord(word, float(-rank)) for rank, word in enumerate(words)]


def test_the_best_words_are_kept_and_the_dropped_ones_keep_score_and_reason() -> None:
    words = ranked("wheels", "car", "asphalt", "tesla", "garage", "automobiles")
    kept, dropped = keep_words(words, "automobile", FILTER, 3)
    assert [word.word for word in kept] == ["wheels", "asphalt", "garage"]
    assert dropped == (
        DroppedWord("car", -1.0, "synonym_of_target"),
        DroppedWord("tesla", -3.0, "blocked"),
    )


def test_fewer_words_than_wanted_are_all_kept() -> None:
    kept, dropped = keep_words(ranked("wheels", "car"), "automobile", FILTER, 9)
    assert ([word.word for word in kept], len(dropped)) == (["wheels"], 1)


class Compass:
    """Encodes texts by angle and keeps what it was asked."""

    name, revision = "compass", "1"

    def __init__(self, degrees: dict[str, float]) -> None:
        self.degrees = degrees
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        self.asked += texts
        angles = torch.deg2rad(torch.tensor([self.degrees.get(text, 90.0) for text in texts]))
        return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_words_like_the_class_name_are_dropped_from_the_bound_on() -> None:
    compass = Compass({"automobile": 0, "sedan": 50, "wheels": 56, "opposite": 180})
    words = dataclasses.replace(FILTER, encoder=compass, max_similarity=0.6)
    assert reasons(words, ["sedan", "cars", "wheels", "opposite"], "automobile") == [
        "similar_to_target",
        "synonym_of_target",
        None,
        None,
    ]
    assert compass.asked == ["automobile", "sedan", "wheels", "opposite"]
    exact = dataclasses.replace(words, max_similarity=1.0)
    assert reasons(exact, ["sedan"], "automobile") == [None]


def test_only_as_many_words_are_encoded_as_are_needed() -> None:
    compass = Compass({"automobile": 0, "w3": 10})
    words = dataclasses.replace(FILTER, encoder=compass)
    kept, dropped = keep_words(ranked(*(f"w{n}" for n in range(1000))), "automobile", words, 5)
    assert [word.word for word in kept] == ["w0", "w1", "w2", "w4", "w5"]
    (word,) = dropped
    assert (word.word, word.reason) == ("w3", "similar_to_target")
    assert word.similarity == pytest.approx(math.cos(math.radians(10)))
    assert len(compass.asked) <= 65


def test_words_are_asked_for_until_enough_are_kept() -> None:
    near = {f"w{n}": 5.0 for n in range(150)}
    words = dataclasses.replace(FILTER, encoder=Compass({"automobile": 0, **near}))
    kept, dropped = keep_words(ranked(*(f"w{n}" for n in range(160))), "automobile", words, 4)
    assert [word.word for word in kept] == ["w150", "w151", "w152", "w153"]
    assert len(dropped) == 150


def test_words_spelled_alike_are_dropped_offline() -> None:
    words = TargetFilter(encoder=LetterEncoder())
    listed = ["traffic", "trumpeting", "street"]
    assert reasons(words, listed, "traffic light") == ["similar_to_target", None, None]
    assert reasons(words, listed, "trumpet") == [None, "similar_to_target", None]


def test_the_packaged_list_has_other_nouns_for_every_class_of_cifar_10() -> None:
    blocked = packaged_block_list()
    classes = "airplane automobile bird cat deer dog frog horse ship truck"
    assert set(blocked) == set(classes.split())
    words = TargetFilter(blocked=blocked)
    for target, word in [("automobile", "Sebring"), ("dog", "puppies"), ("ship", "boats")]:
        assert words.reason(word, target) == "blocked"
    assert words.reason("boats", "dog") is None
    assert {"car", "sedan"} <= set(words.avoided("automobile"))


def test_lists_are_joined_by_class() -> None:
    both = joined_block_lists(
        {"dog": ("puppy", "pug")}, {"dog": ("pug", "hound"), "owl": ("barn",)}
    )
    assert both == {"dog": ("puppy", "pug", "hound"), "owl": ("barn",)}


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "block.txt"
    path.write_bytes(data)
    return path


def test_a_block_list_is_read_by_class(tmp_path: Path) -> None:
    text = (
        "\ufeff# words of brands\nAutomobile: Tesla , sebring,\r\n\n"
        "stop  sign: octagon  # a shape\nautomobile: hummer\n"
    )
    assert read_block_list(write(tmp_path, text.encode())) == {
        "automobile": ("tesla", "sebring", "hummer"),
        "stop sign": ("octagon",),
    }


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"dog: puppy\ntruck van\n", "line 2: expected 'class: word, word', got 'truck van'"),
        (b": van\n", "line 1: expected"),
        (b"dog: \xff\n", "cannot read"),
    ],
)
def test_a_bad_block_list_is_refused_with_the_line(
    data: bytes, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=complaint):
        read_block_list(write(tmp_path, data))


def test_a_block_list_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_block_list(tmp_path / "none.txt")


@given(st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_block_list_or_a_data_error(tmp_path: Path, text: str) -> None:
    try:
        blocked = read_block_list(write(tmp_path, text.encode("utf-8", "surrogatepass")))
    except DataError:
        return
    assert all(name == name.strip() and name for name in blocked)
    assert all(word == word.strip() and word for words in blocked.values() for word in words)
