"""What is true of a drawn scene, as words of the lexicon, by how strictly one asks."""

from __future__ import annotations

from advgen.sandbox.lexicon import TIMES, WEATHERS, Lexicon, load_lexicon
from advgen.sandbox.scene import Scene

LEVELS = {
    "thing": "nouns of drawn things (every synonym)",
    "scene": "also what kind of thing it is, the place's nouns, painted colours, dusk or night, "
    "rain, snow or fog",
    "related": "also what the lexicon says of the drawn things and the place (parts, habits, "
    "surroundings)",
}
UNMARKED = ("day", "clear")
"""What is drawn when nothing is asked for: words for it are true of most scenes and say nothing."""


def true_words(scene: Scene, level: str) -> set[str]:
    """The words that are true of a scene; every level holds those of the stricter ones.

    Everything that the scene lists counts as drawn, also what is half hidden.

    Raises:
        ValueError: If there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"expected a level of {', '.join(LEVELS)}; got {level!r}")
    lexicon = load_lexicon()
    found = {noun for name in scene.concepts for noun in lexicon.concepts[name].nouns}
    if level == "thing":
        return found
    found |= _setting(scene, lexicon)
    if level == "scene":
        return found
    found |= {word for name in scene.concepts for word in lexicon.concepts[name].words}
    return found | set(lexicon.places[scene.place].words)


def _setting(scene: Scene, lexicon: Lexicon) -> set[str]:
    found = {kind for name in scene.concepts for kind in lexicon.concepts[name].kinds}
    found |= set(lexicon.places[scene.place].nouns)
    found |= {item.color for item in scene.items if item.color is not None}
    if scene.time not in UNMARKED:
        found |= set(TIMES[scene.time])
    if scene.weather not in UNMARKED:
        found |= set(WEATHERS[scene.weather])
    return found
