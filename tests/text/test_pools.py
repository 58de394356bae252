from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advgen.errors import ConfigError, DataError
from advgen.sandbox.lexicon import load_lexicon
from advgen.text.pools import TextPool, load_pool, read_pool_file


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "pool.txt"
    path.write_bytes(data)
    return path


def test_lines_are_texts_and_what_is_left_out_is_noted_by_line(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbfred car\r\n\r\nstop   sign\n\xff\xfe\nred  car\nk\xc3\xa4fer\n"
    pool = read_pool_file(write(tmp_path, data))
    assert pool.texts == ("red car", "stop sign", "k\u00e4fer")
    assert pool.notes == (
        "line 2: blank, left out",
        "line 4: not UTF-8, left out",
        "line 5: repeats line 1, left out",
    )


@given(st.binary(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_of_any_file_is_a_text_or_a_note(tmp_path: Path, data: bytes) -> None:
    try:
        pool = read_pool_file(write(tmp_path, data))
    except DataError:
        return
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data.rsplit(b"\n")[-1].strip()))
    assert len(pool.texts) + len(pool.notes) == lines
    assert len(set(pool.texts)) == len(pool.texts)
    assert all(text and text == " ".join(text.split()) for text in pool.texts)


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xff\n"])
def test_a_file_without_a_text_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        read_pool_file(write(tmp_path, data))


def test_a_file_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_pool_file(tmp_path / "none.txt")


def test_frequent_words_come_most_frequent_first() -> None:
    words = load_pool("words-1k").texts
    assert len(words) == len(set(words)) == 1000
    assert words[0] == "the"
    assert load_pool("words-7").texts == words[:7]
    assert all(word.isalpha() and len(word) > 1 for word in words)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("words-0", "at least 1"),
        ("words-9999k", "ask for no more"),
        ("words-many", "choose sandbox"),
        ("", "choose sandbox"),
        ("/", "choose sandbox"),
    ],
)
def test_what_is_no_pool_is_refused(spec: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_pool(spec)


def test_a_path_names_its_pool(tmp_path: Path) -> None:
    path = write(tmp_path, b"hay\n")
    assert load_pool(str(path)) == TextPool(str(path), ("hay",))


def test_the_sandbox_pool_is_the_lexicon() -> None:
    assert list(load_pool("sandbox").texts) == load_lexicon().words()


def test_the_digest_depends_on_texts_and_order_alone() -> None:
    digest = TextPool("a", ("x", "y")).sha256
    assert digest == TextPool("b", ("x", "y"), ("note",)).sha256
    assert digest != TextPool("a", ("y", "x")).sha256
    assert digest != TextPool("a", ("xy",)).sha256
