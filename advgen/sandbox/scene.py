"""A scene: one place, a time, the weather and a few things, small enough to write into a record.

Coordinates are in units of a 64 x 64 canvas, y down. A scene says exactly what is drawn; the
renderer turns it into pixels and masks, the captions into words, and a judge into ground truth.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from advgen.sandbox.lexicon import Concept, Lexicon, Place
from advgen.sandbox.sprites import PLACE_VARIANTS, variants

CANVAS = 64.0
HOME_PLACE_SHARE = 0.75
COMPANY_SHARE = 0.6
EXTRA_OBJECTS = ((0, 0.35), (1, 0.25), (2, 0.2), (3, 0.12), (4, 0.08))


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a scene.

    `x`, `y` is the centre and `size` the side of the sprite's box, in canvas units; `angle` is in
    degrees; `color` names an entry of `lexicon.COLORS` (None: the sprite's own colours); `hue`
    turns the body colour by that many degrees.
    """

    concept: str
    variant: int
    x: float
    y: float
    size: float
    flip: bool = False
    angle: float = 0.0
    color: str | None = None
    hue: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn, back to front: background, then `items` in order, then the weather."""

    place: str
    place_variant: int
    items: tuple[Item, ...]
    time: str = "day"
    weather: str = "clear"
    place_shift: float = 0.0
    place_flip: bool = False

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the things in the scene, each once, in drawing order."""
        return tuple(dict.fromkeys(item.concept for item in self.items))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form of the scene."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scene:
        """Inverse of `to_dict`."""
        items = tuple(Item(**item) for item in data["items"])
        return cls(**{**data, "items": items})


def sample_scene(
    rng: random.Random,
    lexicon: Lexicon,
    *,
    main: str | None = None,
    extras: int | None = None,
    main_size: tuple[float, float] = (24.0, 52.0),
    without: frozenset[str] = frozenset(),
) -> Scene:
    """Draw a random scene by the world's habits: home places, usual company, some surprises.

    Args:
        rng: Source of all randomness.
        lexicon: The world.
        main: Class name of the main thing; None draws one uniformly.
        extras: How many other things; None draws 0-4.
        main_size: Range of the main thing's box in canvas units.
        without: Concepts that must not occur.

    Returns:
        A scene whose last item is the main thing (it is in front).
    """
    anything = [name for name in lexicon.concepts if name not in without]
    concept = lexicon.concepts[main or rng.choice(anything)]
    place = _choose_place(rng, lexicon, concept)
    if extras is None:
        extras = rng.choices([n for n, _ in EXTRA_OBJECTS], [w for _, w in EXTRA_OBJECTS])[0]
    size = rng.uniform(*main_size)
    if extras:
        size = min(size, rng.uniform(main_size[0], 42.0)) if main_size[0] < 42.0 else size
    taken: list[Item] = []
    main_item = place_item(rng, concept, place, size, taken)
    taken.append(main_item)
    others = []
    for name in _choose_company(rng, lexicon, concept, extras, without):
        other = place_item(rng, lexicon.concepts[name], place, rng.uniform(11.0, 26.0), taken)
        taken.append(other)
        others.append(other)
    others.sort(key=lambda item: item.y + item.size / 2)
    return Scene(
        place=place.name,
        place_variant=rng.randrange(PLACE_VARIANTS) + 1,
        items=(*others, main_item),
        time=rng.choices(("day", "sunset", "night"), (0.7, 0.13, 0.17))[0],
        weather=_weather(rng) if has_weather(place) else "clear",
        place_shift=rng.uniform(-5.0, 5.0),
        place_flip=rng.random() < 0.5,
    )


def place_item(
    rng: random.Random,
    concept: Concept,
    place: Place,
    size: float,
    taken: list[Item],
    *,
    color: str | None = None,
) -> Item:
    """Find room for a thing of the given size: where it belongs, with little overlap.

    The best of several random positions is taken; overlap with what is already there is what it is
    judged by, so things may occlude one another when the canvas is full.
    """
    candidates = [_position(rng, concept, place, size) for _ in range(12 if taken else 1)]
    x, y = min(candidates, key=lambda xy: sum(_overlap(xy, size, other) for other in taken))
    if color is None and rng.random() < 0.3:
        color = rng.choice(concept.colors)
    return Item(
        concept=concept.name,
        variant=rng.choice(variants(concept.slug)),
        x=round(x, 2),
        y=round(y, 2),
        size=round(size, 2),
        flip=concept.flip and rng.random() < 0.5,
        angle=round(rng.gauss(0.0, 5.0), 1),
        color=color,
        hue=round(rng.gauss(0.0, 7.0), 1),
    )


def has_weather(place: Place) -> bool:
    """True where rain, snow and fog can be seen."""
    return not place.indoor and place.name != "underwater"


def _choose_place(rng: random.Random, lexicon: Lexicon, concept: Concept) -> Place:
    home = concept.places if rng.random() < HOME_PLACE_SHARE else tuple(lexicon.places)
    return lexicon.places[rng.choice(home)]


def _choose_company(
    rng: random.Random, lexicon: Lexicon, concept: Concept, count: int, without: frozenset[str]
) -> list[str]:
    anyone = [name for name in lexicon.concepts if name != concept.name and name not in without]
    usual = [name for name in concept.company if name != concept.name and name not in without]
    chosen: list[str] = []
    while len(chosen) < count:
        source = usual if usual and rng.random() < COMPANY_SHARE else anyone
        chosen.append(rng.choice(source))
    return chosen


def _weather(rng: random.Random) -> str:
    return rng.choices(("clear", "rain", "snow", "fog"), (0.82, 0.07, 0.06, 0.05))[0]


def _position(
    rng: random.Random, concept: Concept, place: Place, size: float
) -> tuple[float, float]:
    half = size / 2
    margin = half * 0.85
    x = rng.uniform(margin, CANVAS - margin)
    ground = place.horizon * CANVAS
    if concept.where == "air" or place.medium == "air":
        low, high = margin, max(margin, min(CANVAS - margin, ground + 0.2 * size))
    elif concept.where == "wall" or place.name == "underwater":
        low, high = margin, CANVAS - margin
    else:
        foot_low = max(ground + 3.0, size * 0.9)
        low, high = foot_low - half, CANVAS - half + 1.0
    return x, rng.uniform(min(low, high), max(low, high))


def _overlap(position: tuple[float, float], size: float, other: Item) -> float:
    wide = (size + other.size) / 2 - abs(position[0] - other.x)
    tall = (size + other.size) / 2 - abs(position[1] - other.y)
    if wide <= 0 or tall <= 0:
        return 0.0
    return wide * tall / math.pow(min(size, other.size), 2)
