"""Sentences about scenes, as people would write them: some of what is there, and what goes with it.

A caption mentions the main thing almost always, other things and the place often, and words that
cannot be drawn on their own (parts, textures, habits, kinds) now and then. That last group is what
gives the text side of a sandbox CLIP a vocabulary far wider than what the renderer can draw.
"""

from __future__ import annotations

import random

from advgen.english import with_article
from advgen.sandbox.lexicon import COLOR_SYNONYMS, TIMES, WEATHERS, Concept, Lexicon
from advgen.sandbox.scene import Item, Scene

OPENINGS = (
    "a photo of {}",
    "a picture of {}",
    "{}",
    "an image of {}",
    "a drawing of {}",
    "there is {}",
    "here is {}",
    "a view of {}",
    "a scene with {}",
    "one can see {}",
)
JOINS = ("next to", "near", "with", "beside", "in front of", "and", "behind", "together with")
_SPELLINGS: dict[str, tuple[str, ...]] = {}
for _alias, _name in COLOR_SYNONYMS.items():
    _SPELLINGS[_name] = (*_SPELLINGS.get(_name, (_name,)), _alias)


def caption(rng: random.Random, scene: Scene, lexicon: Lexicon) -> str:
    """One random caption of a scene whose last item is the main thing."""
    kind = rng.random()
    if kind < 0.16:
        return _label(rng, scene, lexicon)
    if kind < 0.36:
        return _word_list(rng, scene, lexicon)
    return _sentence(rng, scene, lexicon)


def _label(rng: random.Random, scene: Scene, lexicon: Lexicon) -> str:
    name = _noun(rng, lexicon.concepts[scene.items[-1].concept])
    return "a photo of " + with_article(name) if rng.random() < 0.7 else name


def _word_list(rng: random.Random, scene: Scene, lexicon: Lexicon) -> str:
    """One to four bare words that belong to the scene, most of them not drawable."""
    concept = lexicon.concepts[scene.items[-1].concept]
    again = rng.sample(concept.words, min(3, len(concept.words)))
    candidates = [*concept.words, *again, *concept.kinds]
    if rng.random() < 0.45:
        candidates += [*lexicon.places[scene.place].words, scene.place]
    if len(scene.items) > 1 and rng.random() < 0.5:
        candidates += lexicon.concepts[rng.choice(scene.items[:-1]).concept].words
    words = list(dict.fromkeys(rng.sample(candidates, rng.choice((1, 1, 2, 2, 3, 4)))))
    if rng.random() < 0.3:
        words.insert(0, _noun(rng, concept))
    return rng.choice((", ", " ")).join(words)


def _sentence(rng: random.Random, scene: Scene, lexicon: Lexicon) -> str:
    main = scene.items[-1]
    concept = lexicon.concepts[main.concept]
    text = rng.choice(OPENINGS).format(_phrase(rng, main, concept))
    if rng.random() < 0.5:
        count = rng.choice((1, 1, 2, 3))
        text += rng.choice((", ", " with ", ": ")) + " and ".join(rng.sample(concept.words, count))
    others = list(scene.items[:-1])
    rng.shuffle(others)
    for other in others[: rng.choice((0, 1, 1, 2, 3))]:
        text += f" {rng.choice(JOINS)} {_phrase(rng, other, lexicon.concepts[other.concept])}"
    if rng.random() < 0.6:
        place = lexicon.places[scene.place]
        text += " " + (place.phrase if rng.random() < 0.6 else "in the " + rng.choice(place.nouns))
        if rng.random() < 0.2:
            text += ", " + rng.choice(place.words)
    return text + _conditions(rng, scene)


def _phrase(rng: random.Random, item: Item, concept: Concept) -> str:
    noun = _noun(rng, concept)
    if item.color is not None and rng.random() < 0.7:
        noun = f"{rng.choice(_SPELLINGS.get(item.color, (item.color,)))} {noun}"
    elif rng.random() < 0.12:
        noun = f"{rng.choice(concept.words)} {noun}"
    return with_article(noun)


def _noun(rng: random.Random, concept: Concept) -> str:
    roll = rng.random()
    if roll < 0.72 or (roll < 0.94 and len(concept.nouns) == 1):
        return concept.name
    if roll < 0.94:
        return rng.choice(concept.nouns[1:])
    return rng.choice(concept.kinds)


def _conditions(rng: random.Random, scene: Scene) -> str:
    text = ""
    if scene.time != "day" and rng.random() < 0.6:
        text += f" at {rng.choice(TIMES[scene.time])}"
    if scene.weather != "clear" and rng.random() < 0.6:
        text += f", {rng.choice(WEATHERS[scene.weather])}"
    return text
