"""Reading a description: from any English sentence to a scene, and the words left undrawn.

The reader knows the lexicon's nouns (singular and plural), counts, colours, sizes, a few relations
and the places, times and weathers. Everything else it leaves out of the picture and reports.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace
from typing import Any

from advgen.english import words_of
from advgen.sandbox.lexicon import (
    COLOR_SYNONYMS,
    COLORS,
    COUNTS,
    SIZES,
    TIMES,
    WEATHERS,
    Lexicon,
    Place,
)
from advgen.sandbox.scene import CANVAS, Item, Scene, has_weather, place_item
from advgen.sandbox.sprites import PLACE_VARIANTS

MAX_ITEMS = 8
_CLAUSE = re.compile(r"[.;:!?\n]")
_DETERMINERS = frozenset(
    {"a", "an", "her", "his", "its", "some", "that", "the", "their", "these", "this", "those"}
)
_BREAKS = frozenset(
    {
        "above",
        "across",
        "against",
        "along",
        "are",
        "around",
        "as",
        "at",
        "below",
        "beside",
        "between",
        "by",
        "for",
        "from",
        "has",
        "have",
        "in",
        "inside",
        "into",
        "is",
        "near",
        "next",
        "outside",
        "over",
        "through",
        "to",
        "under",
        "was",
        "were",
        "while",
        "with",
        "without",
    }
)
_FUNCTION = frozenset(
    {
        "1",
        "be",
        "being",
        "down",
        "drawing",
        "here",
        "image",
        "it",
        "of",
        "off",
        "one",
        "out",
        "photo",
        "picture",
        "scene",
        "there",
        "top",
        "up",
        "view",
    }
)
_BEHIND = frozenset({"behind", "background", "distance"})
_ON_TOP = frozenset({"on", "atop", "onto"})
_COUNTS = {**COUNTS, **{str(n): n for n in (2, 3, 4)}, "pair": 2, "couple": 2}
_CONDITIONS = {
    form: (kind, name)
    for kind, table in (("time", TIMES), ("weather", WEATHERS))
    for name, forms in table.items()
    for form in forms
}


@dataclass(frozen=True, slots=True)
class Mention:
    """A thing named in a sentence, with what is said of it.

    `background` things stand behind the others; a thing with `carries` has the one named before it
    on top.
    """

    concept: str
    count: int = 1
    color: str | None = None
    scale: float = 1.0
    background: bool = False
    carries: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sentence says that can be drawn, and what it says besides."""

    mentions: tuple[Mention, ...]
    place: str | None
    time: str
    weather: str
    undrawn: tuple[str, ...] = field(default=())


def read_description(text: str, lexicon: Lexicon) -> Reading:
    """Find the things, their attributes, the place and the conditions in a sentence.

    Words are matched whole and longest first (`hot air balloon` before `balloon`), never as
    substrings. A quality that no thing takes up (`golden` in "a golden sunset") counts as undrawn;
    so does a second place, and weather where there is none.
    """
    reader = _Reader(lexicon)
    for clause in _CLAUSE.split(text):
        reader.read(words_of(clause))
    return reader.reading()


@dataclass(slots=True)
class _Reader:
    """The state of reading: what was found, and what the words since say of the thing to come."""

    lexicon: Lexicon
    mentions: list[Mention] = field(default_factory=list)
    place: str | None = None
    conditions: dict[str, tuple[str, str]] = field(default_factory=dict)
    undrawn: list[str] = field(default_factory=list)
    qualities: dict[str, tuple[Any, str]] = field(default_factory=dict)
    relation: str | None = None
    relation_is_fresh: bool = False

    def read(self, words: list[str]) -> None:
        """Read one clause."""
        at = 0
        while at < len(words):
            length, meaning = _longest_match(words, at, self.lexicon)
            if meaning is None:
                self._word(words[at])
            else:
                self._name(meaning, " ".join(words[at : at + length]))
            at += length
        self._drop()

    def reading(self) -> Reading:
        """What was found."""
        conditions = dict(self.conditions)
        if self.place is not None and not has_weather(self.lexicon.places[self.place]):
            name, word = conditions.pop("weather", ("clear", ""))
            if name != "clear":
                self.undrawn.append(word)
        return Reading(
            mentions=tuple(self.mentions),
            place=self.place,
            time=conditions.get("time", ("day", ""))[0],
            weather=conditions.get("weather", ("clear", ""))[0],
            undrawn=tuple(dict.fromkeys(self.undrawn)),
        )

    def _name(self, meaning: tuple[str, str, bool], words: str) -> None:
        kind, name, many = meaning
        if kind == "place":
            if self.place not in (None, name):
                self.undrawn.append(words)
            self.place = self.place or name
            self._drop()
            return
        said: dict[str, Any] = {key: value for key, (value, _) in self.qualities.items()}
        said["count"] = max(said.get("count", 1), 2 if many else 1)
        if self.relation is not None:
            said[self.relation] = True
        self.mentions.append(Mention(concept=name, **said))
        self.qualities, self.relation = {}, None

    def _word(self, word: str) -> None:
        quality = _quality(word)
        if quality is not None:
            self._say(*quality, word)
        elif word in _CONDITIONS:
            self._set_condition(*_CONDITIONS[word], word)
        elif word in _BEHIND:
            self._drop()
            self.mentions[-1:] = [replace(last, background=True) for last in self.mentions[-1:]]
        elif word in _ON_TOP or word == "front":
            self._drop()
            self.relation = "background" if word == "front" else "carries"
            self.relation_is_fresh = True
        elif word in _DETERMINERS:
            self._drop(keep_relation=self.relation_is_fresh)
        elif word in _BREAKS:
            self._drop()
        elif word in ("and", "or"):
            self.relation = self.relation if self.relation_is_fresh else None
        elif word not in _FUNCTION:
            self.undrawn.append(word)
            self.relation_is_fresh = False

    def _say(self, quality: str, value: Any, word: str) -> None:
        if quality in self.qualities and self.qualities[quality][0] != value:
            self.undrawn.append(self.qualities[quality][1])
        self.qualities[quality] = (value, word)

    def _set_condition(self, kind: str, name: str, word: str) -> None:
        known = self.conditions.get(kind, ("day", ""))[0]
        if known in ("day", "clear"):
            self.conditions[kind] = (name, word)
        elif known != name:
            self.undrawn.append(word)

    def _drop(self, *, keep_relation: bool = False) -> None:
        """Forget what was said of a thing that did not come; its qualities stay undrawn."""
        self.undrawn += [word for _, word in self.qualities.values()]
        self.qualities = {}
        if not keep_relation:
            self.relation = None


def compose(
    reading: Reading,
    lexicon: Lexicon,
    rng: random.Random,
    *,
    main: str | None = None,
    main_size: tuple[float, float] = (30.0, 40.0),
    other_size: tuple[float, float] = (13.0, 24.0),
) -> Scene:
    """Lay a reading out as a scene.

    Args:
        reading: What to draw.
        lexicon: The world.
        rng: Source of positions, poses and whatever the sentence leaves open.
        main: Class name that stands in front and is drawn at `main_size`; None: the first thing
            named.
        main_size: Range of the main thing's box in canvas units.
        other_size: Range of the other things' boxes.

    Returns:
        The scene; at most 8 things are drawn, the main one and those named first.
    """
    wanted, lead = _wanted(reading, main)
    place = _place(reading, lexicon, rng, wanted[lead] if lead is not None else None)
    placed: dict[int, Item] = {}
    for number in sorted(range(len(wanted)), key=lambda number: number != lead):
        mention = wanted[number]
        span = main_size if number == lead else other_size
        size = rng.uniform(*span) * mention.scale * (0.75 if mention.background else 1.0)
        placed[number] = place_item(
            rng,
            lexicon.concepts[mention.concept],
            place,
            min(size, 58.0),
            list(placed.values()),
            color=mention.color,
        )
    for number, mention in enumerate(wanted):
        if mention.carries and number and wanted[number - 1] is not mention:
            placed[number - 1] = _lift(placed[number - 1], placed[number])
    order = sorted(
        placed,
        key=lambda n: (n == lead, not wanted[n].background, placed[n].y + placed[n].size / 2),
    )
    return Scene(
        place=place.name,
        place_variant=rng.randrange(PLACE_VARIANTS) + 1,
        items=tuple(placed[number] for number in order),
        time=reading.time,
        weather=reading.weather if has_weather(place) else "clear",
        place_shift=rng.uniform(-5.0, 5.0),
        place_flip=rng.random() < 0.5,
    )


def _wanted(reading: Reading, main: str | None) -> tuple[list[Mention], int | None]:
    """The things to draw, one entry each, and the number of the main one if it is named."""
    wanted = [mention for mention in reading.mentions for _ in range(mention.count)]
    lead = next((n for n, mention in enumerate(wanted) if main in (None, mention.concept)), None)
    if lead is not None and lead >= MAX_ITEMS:
        return [*wanted[: MAX_ITEMS - 1], wanted[lead]], MAX_ITEMS - 1
    return wanted[:MAX_ITEMS], lead


def _longest_match(
    words: list[str], at: int, lexicon: Lexicon
) -> tuple[int, tuple[str, str, bool] | None]:
    for length in range(min(4, len(words) - at), 0, -1):
        form = tuple(words[at : at + length])
        apart = tuple(" ".join(form).replace("-", " ").split())
        meaning = lexicon.surface.get(form) or lexicon.surface.get(apart)
        if meaning is not None:
            return length, meaning
    return 1, None


def _quality(word: str) -> tuple[str, Any] | None:
    """What a word says of the next thing, as a field of `Mention` and its value."""
    color = COLOR_SYNONYMS.get(word, word)
    if color in COLORS:
        return "color", color
    if word in SIZES:
        return "scale", SIZES[word]
    if word in _COUNTS:
        return "count", _COUNTS[word]
    return None


def _place(reading: Reading, lexicon: Lexicon, rng: random.Random, lead: Mention | None) -> Place:
    """The place named, or a home of the main thing that has the weather asked for."""
    if reading.place is not None:
        return lexicon.places[reading.place]
    homes = tuple(lexicon.places) if lead is None else lexicon.concepts[lead.concept].places
    if reading.weather != "clear":
        open_air = tuple(name for name in homes if has_weather(lexicon.places[name]))
        homes = open_air or tuple(n for n, place in lexicon.places.items() if has_weather(place))
    return lexicon.places[rng.choice(homes)]


def _lift(item: Item, base: Item) -> Item:
    """The item standing on top of another one, as far as the canvas allows."""
    y = base.y - base.size / 2 - item.size * 0.35
    return replace(item, x=base.x, y=max(item.size * 0.45, min(y, CANVAS - item.size / 2)))
