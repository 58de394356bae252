"""Pools: the texts that a neuron may be described with."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import wordfreq

from advgen import registry
from advgen.errors import ConfigError, DataError
from advgen.store import default_store_root

DESCRIPTIONS = "imagenet-descriptions"
_FREQUENT = re.compile(r"words-(\d+)(k?)")
_WIDE_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True, slots=True)
class TextPool:
    """A named, ordered list of distinct texts.

    Attributes:
        name: What the user called it.
        texts: The texts, each once.
        notes: What was left out while reading (line numbers), for the user to see.
    """

    name: str
    texts: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def sha256(self) -> str:
        """Digest of the texts in order."""
        return hashlib.sha256("\n".join(self.texts).encode()).hexdigest()


def load_pool(spec: str) -> TextPool:
    """Find a pool by name.

    Args:
        spec: A registered pool (`sandbox`), `words-N` or `words-Nk` (the N most frequent English
            words of the wordfreq package), `imagenet-descriptions` (once `advgen pool describe` has
            made it), or the path of a UTF-8 text file with one text per line.

    Raises:
        ConfigError: If it is none of these.
        DataError: If the file cannot be read or holds no text.

    Differs from the paper: its 30k words and its descriptions of ImageNet classes are a list and an
    LLM's work of their own; here the words are wordfreq's, and the descriptions are made anew
    (Sec. 4, Table 7).
    """
    if spec in registry.names("pool"):
        make: Callable[[], list[str]] = registry.resolve("pool", spec)
        return TextPool(spec, tuple(make()))
    if spec == DESCRIPTIONS:
        return _stored_descriptions()
    frequent = _FREQUENT.fullmatch(spec)
    if frequent:
        count = int(frequent[1]) * (1000 if frequent[2] else 1)
        return TextPool(spec, tuple(_frequent_words(count)))
    if Path(spec).is_file():
        return read_pool_file(Path(spec))
    known = ", ".join([*registry.names("pool"), "words-N", DESCRIPTIONS, "a text file"])
    fault = "is a folder" if spec and Path(spec).is_dir() else "is not a text pool or file"
    raise ConfigError(f"'{spec}' {fault}; choose {known}")


def descriptions_path() -> Path:
    """Where the pool `imagenet-descriptions` lies: in the artifact store, under `pools`."""
    return default_store_root() / "pools" / f"{DESCRIPTIONS}.txt"


def read_pool_file(path: Path) -> TextPool:
    """Read one text per line; undecodable, blank and repeated lines are left out and noted.

    Any line ends will do. Space around a text is taken off, and within it counts as one.

    Raises:
        DataError: If the file cannot be read, is not UTF-8 as a whole, or no text is left.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; a text pool is a file with one text per line")
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise DataError(f"cannot read the text pool {path}: {error}") from error
    if data.startswith(_WIDE_BOMS) or b"\0" in data:
        raise DataError(f"{path} is UTF-16 or no text at all; save it as UTF-8, one text per line")
    first_seen: dict[str, int] = {}
    notes: list[str] = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            text = " ".join(line.decode("utf-8").split())
        except UnicodeDecodeError:
            notes.append(f"line {number}: not UTF-8, left out")
            continue
        if not text:
            notes.append(f"line {number}: blank, left out")
        elif text in first_seen:
            notes.append(f"line {number}: repeats line {first_seen[text]}, left out")
        else:
            first_seen[text] = number
    if not first_seen:
        raise DataError(f"the text pool {path} holds no text; write one text per line")
    return TextPool(str(path), tuple(first_seen), tuple(notes))


def class_names(spec: str) -> tuple[str, ...]:
    """The classes that a user names.

    Args:
        spec: `imagenet` (open_clip's names of the 1000 classes, of which two occur twice), a text
            file with one name per line, or names with commas between them.

    Raises:
        DataError: If the file is missing or no name is left.
    """
    if spec == "imagenet":
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

        return tuple(dict.fromkeys(IMAGENET_CLASSNAMES))
    path = Path(spec)
    if path.is_file():
        return read_pool_file(path).texts
    if path.is_dir() or path.suffix == ".txt":
        raise DataError(f"there is no file {spec} with the names of classes, one per line")
    found = tuple(dict.fromkeys(filter(None, (" ".join(p.split()) for p in spec.split(",")))))
    if not found:
        raise DataError('no class is named; write imagenet, a text file, or "cat,dog"')
    return found


def _stored_descriptions() -> TextPool:
    path = descriptions_path()
    if not path.is_file():
        raise ConfigError(
            f"the pool '{DESCRIPTIONS}' is not made yet; a chat model writes it: advgen pool "
            f"describe --classes imagenet --llm openai:MODEL@URL --out '{path}'"
        )
    pool = read_pool_file(path)
    return TextPool(DESCRIPTIONS, pool.texts, pool.notes)


def _frequent_words(count: int) -> list[str]:
    """The most frequent English words of two letters or more (wordfreq mixes in numbers, marks)."""
    if count < 1:
        raise ConfigError("a words-N pool needs N of at least 1")
    words = [word for word in wordfreq.iter_wordlist("en") if word.isalpha() and len(word) > 1]
    if count > len(words):
        raise ConfigError(f"wordfreq knows {len(words)} English words; ask for no more than that")
    return words[:count]
