from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advgen.errors import DataError
from advgen.mining import TargetFilter, keep_words, read_block_list
from advgen.records import DroppedWord, MinedWord

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
