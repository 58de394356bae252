import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advgen.errors import ConfigError, DataError
from advgen.sandbox.lexicon import load_lexicon
from advgen.store import default_store_root
from advgen.text.pools import TextPool, class_names, descriptions_path, load_pool, read_pool_file


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
    lines = re.split(rb"\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf"))
    assert len(pool.texts) + len(pool.notes) == len(lines) - (lines[-1] == b"")
    assert len(set(pool.texts)) == len(pool.texts)
    assert all(text and text == " ".join(text.split()) for text in pool.texts)


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xff\n"])
def test_a_file_without_a_text_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        read_pool_file(write(tmp_path, data))


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [b"", None])
def test_any_line_ends_will_do(ends: bytes, last: bytes | None, tmp_path: Path) -> None:
    lines = [b"hay\t", b" red  car ", b"hay"] + ([] if last is None else [last])
    pool = read_pool_file(write(tmp_path, ends.join(lines)))
    assert pool.texts == ("hay", "red car")
    assert pool.notes == ("line 3: repeats line 1, left out",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_of_wide_characters_is_refused_as_a_whole(encoding: str, tmp_path: Path) -> None:
    data = "red car\nk\u00e4fer\n".encode(encoding)
    with pytest.raises(DataError, match="UTF-16 or no text at all; save it as UTF-8"):
        read_pool_file(write(tmp_path, data))


def test_a_folder_is_no_pool(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; a text pool is a file"):
        read_pool_file(tmp_path)


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
        ("nowhere.txt", "is not a text pool or file; choose sandbox, words-N, imagenet-descr"),
        ("/", "is a folder; choose sandbox"),
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


def test_the_descriptions_say_how_they_are_made_until_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADVGEN_CACHE", str(tmp_path))
    path = descriptions_path()
    assert path == default_store_root() / "pools" / "imagenet-descriptions.txt"
    command = "advgen pool describe --classes imagenet --llm openai:MODEL@URL --out"
    with pytest.raises(ConfigError, match=re.escape(f"{command} '{path}'")):
        load_pool("imagenet-descriptions")
    path.parent.mkdir()
    path.write_text("Image with fur\n\n", encoding="utf-8")
    pool = load_pool("imagenet-descriptions")
    assert (pool.name, pool.texts) == ("imagenet-descriptions", ("Image with fur",))
    assert pool.notes == ("line 2: blank, left out",)


@pytest.mark.parametrize(
    ("name", "lines"), [("30k.txt", 30_000), ("image_descriptions_per_class.txt", 28_768)]
)
def test_the_released_pools_are_read_whole(name: str, lines: int, shared: Path) -> None:
    path = shared / "pools" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    pool = read_pool_file(path)
    stripped = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    assert set(pool.texts) == {" ".join(line.split()) for line in stripped}
    assert len(pool.texts) + len(pool.notes) == len(stripped) == lines
    assert all("repeats line" in note for note in pool.notes)


def test_the_classes_of_imagenet_are_named_once_each() -> None:
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    found = class_names("imagenet")
    assert set(found) == set(IMAGENET_CLASSNAMES)
    assert (len(found), found[0]) == (998, "tench")


def test_classes_come_from_a_file_or_from_the_text_itself(tmp_path: Path) -> None:
    assert class_names("cat, stop  sign,cat,") == ("cat", "stop sign")
    assert class_names(str(write(tmp_path, b"kite, the toy\ndog\n"))) == ("kite, the toy", "dog")


@pytest.mark.parametrize(
    ("spec", "says"),
    [("classes.txt", "no file classes.txt"), ("/", "no file /"), (" ,", "no class")],
)
def test_no_classes(spec: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        class_names(spec)
