import json
import random
from collections import Counter

import pytest

from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.scene import CANVAS, Item, Scene, has_weather, place_item, sample_scene
from advgen.sandbox.sprites import PLACE_VARIANTS, variants

LEXICON = load_lexicon()


def scenes(count: int, **said) -> list[Scene]:
    return [sample_scene(random.Random(f"s{n}"), LEXICON, **said) for n in range(count)]


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    return scenes(1500)


def test_the_same_generator_state_gives_the_same_scene(many: list[Scene]) -> None:
    assert scenes(20) == many[:20]
    assert len(set(many)) == len(many)


def test_a_scene_survives_json(many: list[Scene]) -> None:
    for scene in many[:50]:
        assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


def test_everything_in_a_scene_exists(many: list[Scene]) -> None:
    for scene in many:
        assert scene.place in LEXICON.places
        assert 1 <= scene.place_variant <= PLACE_VARIANTS
        for item in scene.items:
            concept = LEXICON.concepts[item.concept]
            assert item.variant in variants(concept.slug)
            assert item.color is None or item.color in concept.colors
            assert not item.flip or concept.flip
            assert 0.0 < item.x < CANVAS
            assert 0.0 < item.y < CANVAS + 1.0


def test_scenes_follow_the_habits_of_the_world(many: list[Scene]) -> None:
    count = len(many)
    extras = Counter(len(scene.items) - 1 for scene in many)
    assert set(extras) == {0, 1, 2, 3, 4}
    assert extras[0] / count == pytest.approx(0.35, abs=0.05)
    assert extras[4] / count == pytest.approx(0.08, abs=0.03)
    home = sum(s.place in LEXICON.concepts[s.items[-1].concept].places for s in many)
    assert 0.72 < home / count < 0.9
    times = Counter(scene.time for scene in many)
    assert times["day"] / count == pytest.approx(0.7, abs=0.05)
    assert {scene.weather for scene in many} == {"clear", "rain", "snow", "fog"}
    assert {scene.items[-1].concept for scene in many} == set(LEXICON.concepts)


def test_company_is_more_than_chance(many: list[Scene]) -> None:
    pairs = [(scene.items[-1].concept, item) for scene in many for item in scene.items[:-1]]
    usual = sum(item.concept in LEXICON.concepts[main].company for main, item in pairs)
    assert 0.5 < usual / len(pairs) < 0.75


def test_there_is_no_weather_indoors_and_under_water(many: list[Scene]) -> None:
    assert not has_weather(LEXICON.places["kitchen"])
    assert not has_weather(LEXICON.places["underwater"])
    assert has_weather(LEXICON.places["meadow"])
    dry = [scene for scene in many if not has_weather(LEXICON.places[scene.place])]
    assert dry
    assert {scene.weather for scene in dry} == {"clear"}


def test_the_main_thing_is_chosen_sized_and_in_front() -> None:
    for scene in scenes(40, main="owl", extras=3, main_size=(20.0, 22.0)):
        assert len(scene.items) == 4
        assert scene.items[-1].concept == "owl"
        assert 20.0 <= scene.items[-1].size <= 22.0
        feet = [item.y + item.size / 2 for item in scene.items[:-1]]
        assert feet == sorted(feet), "what stands further down is nearer"


def test_concepts_that_must_not_occur_do_not() -> None:
    company = frozenset(LEXICON.concepts["dog"].company)
    for scene in scenes(60, main="dog", extras=4, without=company | {"deer"}):
        assert not set(scene.concepts) & (company | {"deer"})
    rest = frozenset(LEXICON.concepts) - {"owl", "kite"}
    assert {scene.items[-1].concept for scene in scenes(30, without=rest)} == {"owl", "kite"}


def test_concepts_are_listed_once_in_drawing_order() -> None:
    items = tuple(Item(name, 1, 32, 32, 10) for name in ("cat", "dog", "cat"))
    assert Scene("meadow", 1, items).concepts == ("cat", "dog")


def test_room_is_found_beside_what_is_there() -> None:
    dog, meadow = LEXICON.concepts["dog"], LEXICON.places["meadow"]
    taken = [Item("cat", 1, 16.0, 50.0, 24.0)]

    def overlaps(crowd: list[Item]) -> int:
        placed = [place_item(random.Random(n), dog, meadow, 14.0, crowd) for n in range(100)]
        return sum(abs(item.x - 16.0) < 19.0 and abs(item.y - 50.0) < 19.0 for item in placed)

    assert overlaps(taken) < 10 < overlaps([])


def test_things_stay_where_they_belong() -> None:
    meadow, sky = LEXICON.places["meadow"], LEXICON.places["sky"]
    horizon = meadow.horizon * CANVAS
    for seed in range(60):
        dog = place_item(random.Random(seed), LEXICON.concepts["dog"], meadow, 16.0, [])
        assert dog.y + dog.size / 2 >= horizon, "its feet are on the ground"
        kite = place_item(random.Random(seed), LEXICON.concepts["kite"], meadow, 16.0, [])
        assert kite.y - kite.size / 2 < horizon, "it is in the air"
        high = place_item(random.Random(seed), LEXICON.concepts["dog"], sky, 16.0, [])
        assert high.y <= CANVAS


def test_a_given_colour_is_kept() -> None:
    car, road = LEXICON.concepts["automobile"], LEXICON.places["road"]
    assert place_item(random.Random(0), car, road, 20.0, [], color="teal").color == "teal"
