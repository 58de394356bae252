import copy
from typing import Any

import pytest

from advgen.english import regular_plural
from advgen.sandbox.lexicon import (
    COLOR_SYNONYMS,
    COLORS,
    COUNTS,
    SIZES,
    TIMES,
    WEATHERS,
    Concept,
    Place,
    load_lexicon,
    parse_lexicon,
)
from advgen.sandbox.sprites import PLACE_VARIANTS, load_background, variants
from advgen.sandbox.words import class_synonyms

LEXICON = load_lexicon()
CONDITIONS = {form for table in (TIMES, WEATHERS) for forms in table.values() for form in forms}
EXPECTED = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    "elephant", "owl", "squirrel", "rabbit", "turtle", "duck", "chicken", "eagle", "monkey",
    "stop sign", "yield sign", "crossroad sign", "vacuum cleaner",
}  # fmt: skip
TABLE: dict[str, Any] = {
    "concepts": {
        "ox": {
            "nouns": ["ox", "Bull"],
            "plural": "oxen",
            "kinds": ["animal"],
            "words": ["horns", "plow", "hay"],
            "places": ["field"],
            "company": ["cart"],
            "colors": ["brown"],
            "size": 1,
            "where": "ground",
        },
        "cart": {
            "nouns": ["cart"],
            "kinds": ["vehicle"],
            "words": ["wheels", "axle", "hay"],
            "places": ["field"],
            "company": ["ox"],
            "colors": ["red"],
            "size": 1,
            "where": "ground",
            "flip": False,
        },
    },
    "places": {
        "field": {
            "nouns": ["field", "open field"],
            "phrase": "in a field",
            "words": ["grass"],
            "horizon": 0.5,
            "medium": "ground",
            "indoor": False,
        }
    },
}


def test_the_world_is_as_wide_as_promised() -> None:
    assert set(LEXICON.concepts) >= EXPECTED
    assert len(LEXICON.concepts) >= 130
    assert len(LEXICON.places) >= 20
    words = LEXICON.words()
    assert len(words) >= 800
    assert words == sorted(set(words))
    drawable = LEXICON.drawable_words()
    assert drawable < set(words)
    assert len(drawable) < len(words) / 2, "a good half of the words cannot be drawn"


@pytest.mark.parametrize("concept", LEXICON.concepts.values(), ids=lambda concept: concept.name)
def test_a_concept_has_all_that_scenes_and_captions_need(concept: Concept) -> None:
    assert concept.nouns[0] == concept.name == concept.name.lower()
    assert len(concept.words) >= 4, "a caption may name four words"
    assert len(set(concept.words)) == len(concept.words)
    assert concept.kinds
    assert concept.places
    assert concept.company
    assert concept.colors
    assert concept.name not in concept.company
    assert concept.where in {"ground", "air", "water", "wall"}
    assert 0.2 <= concept.size <= 2.0
    assert len(variants(concept.slug)) >= 2
    own = set(concept.nouns) | {concept.plural}
    assert not own & set(concept.words), "a word that goes with a thing does not name it"


@pytest.mark.parametrize("place", LEXICON.places.values(), ids=lambda place: place.name)
def test_a_place_has_all_that_scenes_and_captions_need(place: Place) -> None:
    assert place.nouns[0] == place.name == place.name.lower()
    assert place.phrase.split()[0] in {"in", "on", "at", "under"}
    assert len(place.words) >= 4
    assert 0.0 < place.horizon <= 1.0
    assert place.medium in {"ground", "water", "air"}
    for variant in range(1, PLACE_VARIANTS + 1):
        assert load_background(place.slug, variant)


def test_no_noun_is_also_a_colour_a_size_a_count_or_a_condition() -> None:
    single = {form[0] for form in LEXICON.surface if len(form) == 1}
    assert not single & (set(COLORS) | set(COLOR_SYNONYMS) | set(SIZES) | set(COUNTS) | CONDITIONS)


def test_class_synonyms_are_the_other_nouns() -> None:
    assert class_synonyms()["automobile"] == LEXICON.concepts["automobile"].nouns[1:]
    assert set(class_synonyms()) == set(LEXICON.concepts)


def test_a_table_becomes_a_lexicon() -> None:
    lexicon = parse_lexicon(TABLE)
    assert (lexicon.concepts["ox"].plural, lexicon.concepts["cart"].plural) == ("oxen", "carts")
    assert (lexicon.concepts["ox"].flip, lexicon.concepts["cart"].flip) == (True, False)
    assert lexicon.surface["oxen",] == ("concept", "ox", True)
    assert lexicon.surface["bull",] == ("concept", "ox", False)
    assert lexicon.surface["bulls",] == ("concept", "ox", True)
    assert lexicon.surface["open", "field"] == ("place", "field", False)
    assert "animal" in lexicon.words()
    assert "animal" not in lexicon.drawable_words()
    assert {"ox", "Bull", "field", "red", "huge", "night"} <= lexicon.drawable_words()


@pytest.mark.parametrize(
    ("concept", "key", "value", "complaint"),
    [
        ("ox", "places", ["moon"], "'ox' names an unknown place: moon"),
        ("ox", "company", ["yeti", "cart"], "'ox' names an unknown concept: yeti"),
        ("cart", "colors", ["plaid"], "'cart' names an unknown colour: plaid"),
        ("cart", "nouns", ["cart", "ox"], "'ox' names both 'ox' and 'cart'"),
        ("cart", "nouns", ["cart", "field"], "'field' names both 'cart' and 'field'"),
        ("cart", "nouns", ["cart", "open field"], "'open field' names both 'cart' and 'field'"),
    ],
)
def test_a_reference_that_does_not_hold_is_named(
    concept: str, key: str, value: list[str], complaint: str
) -> None:
    table = copy.deepcopy(TABLE)
    table["concepts"][concept][key] = value
    with pytest.raises(ValueError, match=complaint):
        parse_lexicon(table)


def test_a_place_and_a_thing_of_one_name_are_refused() -> None:
    table = copy.deepcopy(TABLE)
    table["places"]["cart"] = {**TABLE["places"]["field"], "nouns": ["cart"]}
    with pytest.raises(ValueError, match="'cart' names both"):
        parse_lexicon(table)


def test_every_inflected_noun_means_its_concept() -> None:
    for concept in LEXICON.concepts.values():
        for noun in concept.nouns:
            for form in (noun, regular_plural(noun), concept.plural):
                kind, name, _ = LEXICON.surface[tuple(form.lower().split())]
                assert (kind, name) == ("concept", concept.name)
