"""The words of the sandbox: what it can draw, what that is called, and what is said of it.

One TOML file (`lexicon.toml`) holds everything; this module reads it into frozen records and
answers the two questions the rest of the sandbox asks: *what does this word mean* and *which words
are there*.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from advgen.english import plural, regular_plural
from advgen.toml import read_toml

COLORS: dict[str, str] = {
    "red": "#d0342c",
    "orange": "#ee8322",
    "yellow": "#f2c230",
    "green": "#3f9142",
    "blue": "#2f6fd0",
    "purple": "#7d4bb0",
    "pink": "#ec7fa9",
    "brown": "#8a5a33",
    "black": "#34343a",
    "white": "#f1f0ec",
    "gray": "#8d9097",
    "tan": "#d0ab78",
    "gold": "#d9a62e",
    "silver": "#bfc5cc",
    "teal": "#2a8f8f",
    "maroon": "#7c2436",
}
COLOR_SYNONYMS: dict[str, str] = {
    "grey": "gray",
    "golden": "gold",
    "beige": "tan",
    "violet": "purple",
}
SIZES: dict[str, float] = {
    "tiny": 0.6,
    "little": 0.75,
    "small": 0.75,
    "big": 1.25,
    "large": 1.25,
    "huge": 1.5,
    "giant": 1.5,
}
TIMES: dict[str, tuple[str, ...]] = {
    "day": ("day", "daylight"),
    "sunset": ("sunset", "dusk", "sunrise", "dawn", "evening"),
    "night": ("night", "midnight", "moonlight", "dark"),
}
WEATHERS: dict[str, tuple[str, ...]] = {
    "clear": ("sunny", "clear"),
    "rain": ("rain", "rainy", "storm", "stormy"),
    "snow": ("snowy", "snowing", "snowfall", "blizzard"),
    "fog": ("fog", "foggy", "mist", "misty"),
}
COUNTS: dict[str, int] = {"two": 2, "three": 3, "four": 4, "several": 3, "many": 4}


@dataclass(frozen=True, slots=True)
class Concept:
    """A drawable thing: the first noun is its class name, the rest are synonyms."""

    name: str
    nouns: tuple[str, ...]
    plural: str
    kinds: tuple[str, ...]
    words: tuple[str, ...]
    places: tuple[str, ...]
    company: tuple[str, ...]
    colors: tuple[str, ...]
    size: float
    where: str
    flip: bool = True

    @property
    def slug(self) -> str:
        """File-name form of the class name (`stop sign` -> `stop_sign`)."""
        return self.name.replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Place:
    """A background: where scenes happen."""

    name: str
    nouns: tuple[str, ...]
    phrase: str
    words: tuple[str, ...]
    horizon: float
    medium: str
    indoor: bool

    @property
    def slug(self) -> str:
        """File-name form of the place's name."""
        return self.name.replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every concept and place of the world, with look-ups by word.

    `surface` maps each surface form (singular or plural noun in lower case, split into words) to
    `("concept", name, plural?)` or `("place", name, False)`; it is what the description reader
    matches.
    """

    concepts: Mapping[str, Concept]
    places: Mapping[str, Place]
    surface: Mapping[tuple[str, ...], tuple[str, str, bool]] = field(repr=False)

    def words(self) -> list[str]:
        """All words and names that texts about this world use, sorted, without function words."""
        found: set[str] = set(COLORS) | set(SIZES)
        for forms in (*TIMES.values(), *WEATHERS.values()):
            found.update(forms)
        for concept in self.concepts.values():
            found.update(concept.nouns, concept.kinds, concept.words)
        for place in self.places.values():
            found.update(place.nouns, place.words)
        return sorted(found)

    def drawable_words(self) -> set[str]:
        """The words of `words()` that change what the renderer draws."""
        found: set[str] = set(COLORS) | set(SIZES)
        for forms in (*TIMES.values(), *WEATHERS.values()):
            found.update(forms)
        for concept in self.concepts.values():
            found.update(concept.nouns)
        for place in self.places.values():
            found.update(place.nouns)
        return found


@functools.cache
def load_lexicon() -> Lexicon:
    """Read the packaged lexicon (once per process)."""
    text = resources.files("advgen.sandbox").joinpath("lexicon.toml").read_text(encoding="utf-8")
    return parse_lexicon(read_toml(text))


def parse_lexicon(table: Mapping[str, Any]) -> Lexicon:
    """Build a `Lexicon` from the parsed TOML table and check that its references hold.

    Raises:
        ValueError: If an entry names an unknown place, concept or colour, or two share a noun.
    """
    concepts = {name: _concept(name, entry) for name, entry in table["concepts"].items()}
    places = {name: _place(name, entry) for name, entry in table["places"].items()}
    for concept in concepts.values():
        _expect_known(concept.name, "place", concept.places, places)
        _expect_known(concept.name, "concept", concept.company, concepts)
        _expect_known(concept.name, "colour", concept.colors, COLORS)
    return Lexicon(concepts=concepts, places=places, surface=_surface(concepts, places))


def _concept(name: str, entry: Mapping[str, Any]) -> Concept:
    return Concept(
        name=name,
        nouns=tuple(entry["nouns"]),
        plural=entry.get("plural", regular_plural(name)),
        kinds=tuple(entry["kinds"]),
        words=tuple(entry["words"]),
        places=tuple(entry["places"]),
        company=tuple(entry["company"]),
        colors=tuple(entry["colors"]),
        size=float(entry["size"]),
        where=entry["where"],
        flip=entry.get("flip", True),
    )


def _place(name: str, entry: Mapping[str, Any]) -> Place:
    return Place(
        name=name,
        nouns=tuple(entry["nouns"]),
        phrase=entry["phrase"],
        words=tuple(entry["words"]),
        horizon=float(entry["horizon"]),
        medium=entry["medium"],
        indoor=entry["indoor"],
    )


def _expect_known(owner: str, kind: str, names: Iterable[str], known: Mapping[str, Any]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"lexicon entry '{owner}' names an unknown {kind}: {', '.join(unknown)}")


def _surface(
    concepts: Mapping[str, Concept], places: Mapping[str, Place]
) -> dict[tuple[str, ...], tuple[str, str, bool]]:
    table: dict[tuple[str, ...], tuple[str, str, bool]] = {}

    def add(form: str, meaning: tuple[str, str, bool]) -> None:
        key = tuple(form.lower().split())
        if table.setdefault(key, meaning)[:2] != meaning[:2]:
            raise ValueError(f"'{form}' names both '{table[key][1]}' and '{meaning[1]}'")

    for concept in concepts.values():
        for noun in concept.nouns:
            add(noun, ("concept", concept.name, False))
    for concept in concepts.values():
        for form in _plurals(concept):
            table.setdefault(tuple(form.lower().split()), ("concept", concept.name, True))
    for place in places.values():
        for noun in place.nouns:
            add(noun, ("place", place.name, False))
    return table


def _plurals(concept: Concept) -> list[str]:
    nouns = concept.nouns
    return [concept.plural, *map(plural, nouns), *map(regular_plural, nouns)]
