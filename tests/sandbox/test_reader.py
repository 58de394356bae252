import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.reader import MAX_ITEMS, Mention, Reading, compose, read_description

LEXICON = load_lexicon()


def dog(**said) -> Mention:
    return Mention("dog", **said)


def car(**said) -> Mention:
    return Mention("automobile", **said)


def cat(**said) -> Mention:
    return Mention("cat", **said)


CASES = [
    # text, things, place, undrawn words
    ("a photo of a dog", [dog()], None, ()),
    ("A DOG!", [dog()], None, ()),
    ("the puppies", [dog(count=2)], None, ()),
    ("two dogs and three cats", [dog(count=2), cat(count=3)], None, ()),
    ("one dog, 4 cats", [dog(), cat(count=4)], None, ()),
    ("a pair of mice", [Mention("mouse", count=2)], None, ()),
    ("five sheep", [Mention("sheep")], None, ("five",)),
    ("calves and field mice", [Mention("cow", count=2), Mention("mouse", count=2)], None, ()),
    ("a caterpillar with a carpet", [], None, ("caterpillar", "carpet")),
    ("a hot air balloon", [Mention("hot air balloon")], None, ()),
    ("a hot-air balloon, stop-signs", [Mention("hot air balloon"), Mention("stop sign", count=2)],
     None, ()),
    ("a dog-like thing", [], None, ("dog-like", "thing")),
    ("a jack-o'-lantern", [Mention("pumpkin")], None, ()),
    ("a T-shirt", [Mention("shirt")], None, ()),
    ("the dog's bowl", [dog()], None, ("bowl",)),
    ("a red car", [car(color="red")], None, ()),
    ("a golden dog near a grey cat", [dog(color="gold"), cat(color="gray")], None, ()),
    ("a huge red furry dog", [dog(scale=1.5, color="red")], None, ("furry",)),
    ("a black and white dog", [dog(color="white")], None, ("black",)),
    ("a golden eagle", [Mention("eagle")], None, ()),
    ("a dog with golden antlers next to a car", [dog(), car()], None, ("antlers", "golden")),
    ("a dog with a big mustache and a cat", [dog(), cat()], None, ("mustache", "big")),
    ("a dog in red. Cats", [dog(), cat(count=2)], None, ("red",)),
    ("a dog in a forest", [dog()], "forest", ()),
    ("a dog in the green woods", [dog()], "forest", ("green",)),
    ("a dog on a beach near the ocean", [dog()], "beach", ("ocean",)),
    ("a dog in the forest, a woodland", [dog()], "forest", ()),
    ("a dog on a car", [dog(), car(carries=True)], None, ()),
    ("a dog on top of the shiny red car", [dog(), car(carries=True, color="red")], None,
     ("shiny",)),
    ("a dog on a beach with a car", [dog(), car()], "beach", ()),
    ("a dog on the left and a cat", [dog(), cat()], None, ("left",)),
    ("a dog on skates, a cat", [dog(), cat()], None, ("skates",)),
    ("a dog on skates and cats", [dog(), cat(count=2)], None, ("skates",)),
    ("a dog in front of a car", [dog(), car(background=True)], None, ()),
    ("a dog in front of a car and a cat", [dog(), car(background=True), cat()], None, ()),
    ("a dog behind a car", [dog(background=True), car()], None, ()),
    ("a dog with two cars in the background", [dog(), car(count=2, background=True)], None, ()),
    ("a dog and a cat in the distance", [dog(), cat(background=True)], None, ()),
    ("the background", [], None, ()),
    ("", [], None, ()),
    ("\u00bfD\u00f3nde est\u00e1 el perro?", [], None, ("d\u00f3nde", "est\u00e1", "el", "perro")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "things", "place", "undrawn"), CASES, ids=[c[0] for c in CASES])
def test_a_sentence_is_read(
    text: str, things: list[Mention], place: str | None, undrawn: tuple[str, ...]
) -> None:
    reading = read_description(text, LEXICON)
    assert list(reading.mentions) == things
    assert reading.place == place
    assert reading.undrawn == undrawn


@pytest.mark.parametrize(
    ("text", "time", "weather", "undrawn"),
    [
        ("a dog at night", "night", "clear", ()),
        ("a misty dawn with a dog", "sunset", "fog", ()),
        ("a rainy day, later at night", "night", "rain", ("later",)),
        ("a stormy night at sunset", "night", "rain", ("sunset",)),
        ("rain in the kitchen", "day", "clear", ("rain",)),
        ("a sunny kitchen", "day", "clear", ()),
        ("a dog on a snowy field", "day", "clear", ()),
    ],
)
def test_time_and_weather_are_read_where_there_are_any(
    text: str, time: str, weather: str, undrawn: tuple[str, ...]
) -> None:
    reading = read_description(text, LEXICON)
    assert (reading.time, reading.weather, reading.undrawn) == (time, weather, undrawn)


WORDS = st.sampled_from([
    "a", "the", "two", "dogs", "car", "cat", "on", "top", "of", "in", "front", "behind", "and",
    "red", "huge", "night", "rain", "kitchen", "beach", "furry", "with", ".", "underwater",
])  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=25).map(" ".join)))
def test_any_text_is_read_and_drawn_as_a_scene(text: str) -> None:
    reading = read_description(text, LEXICON)
    assert all(word in text.lower().replace("\u2019", "'") for word in reading.undrawn)
    scene = compose(reading, LEXICON, random.Random(0), main="cat")
    assert set(scene.concepts) <= {mention.concept for mention in reading.mentions}
    assert len(scene.items) == min(sum(mention.count for mention in reading.mentions), MAX_ITEMS)
    if "cat" in scene.concepts:
        assert scene.items[-1].concept == "cat"


def composed(text: str, main: str | None = None, seed: int = 0):
    return compose(read_description(text, LEXICON), LEXICON, random.Random(seed), main=main)


def test_the_same_reading_and_seed_give_the_same_scene() -> None:
    assert composed("a dog near three cars") == composed("a dog near three cars")
    assert composed("a dog near three cars") != composed("a dog near three cars", seed=1)


@pytest.mark.parametrize("seed", range(8))
def test_the_main_thing_is_large_and_in_front(seed: int) -> None:
    scene = composed("two cats, a dog and a car in a meadow", main="dog", seed=seed)
    *others, main = scene.items
    assert (main.concept, scene.place) == ("dog", "meadow")
    assert 30.0 <= main.size <= 40.0
    assert sorted(item.concept for item in others) == ["automobile", "cat", "cat"]
    assert all(13.0 <= item.size <= 24.0 for item in others)


def test_without_a_main_thing_the_first_named_leads() -> None:
    assert composed("a cat and two dogs").items[-1].concept == "cat"


def test_the_main_thing_is_drawn_even_when_named_last_of_many() -> None:
    scene = composed("four cats, four cows, four pigs and a dog", main="dog")
    assert len(scene.items) == MAX_ITEMS
    assert scene.items[-1].concept == "dog"


def test_colour_and_size_reach_the_item() -> None:
    (item,) = composed("a tiny purple car").items
    assert item.color == "purple"
    assert item.size <= 40.0 * 0.6


@pytest.mark.parametrize("seed", range(8))
def test_a_thing_stands_on_what_carries_it(seed: int) -> None:
    scene = composed("a mouse on two big cars", main="mouse", seed=seed)
    mouse = scene.items[-1]
    bases = [item for item in scene.items if item.concept == "automobile" and item.x == mouse.x]
    assert len(bases) == 1
    assert mouse.y < bases[0].y


def test_things_in_the_background_are_drawn_first_and_smaller() -> None:
    for seed in range(8):
        scene = composed("a dog and a cat with a car in the background", main="dog", seed=seed)
        assert scene.items[0].concept == "automobile"
        assert scene.items[0].size <= 24.0 * 0.75


def test_the_place_left_open_is_a_home_that_has_the_weather() -> None:
    homes = LEXICON.concepts["cat"].places
    indoor = {name for name in homes if LEXICON.places[name].indoor}
    assert indoor
    dry = [composed("a cat", seed=seed) for seed in range(40)]
    wet = [composed("a cat in the rain", seed=seed) for seed in range(40)]
    assert {scene.place for scene in dry} == set(homes)
    assert {scene.place for scene in wet} == set(homes) - indoor
    assert all(scene.weather == "rain" for scene in wet)


def test_a_reading_of_nothing_is_an_empty_scene() -> None:
    scene = compose(Reading((), None, "day", "clear"), LEXICON, random.Random(0), main="dog")
    assert scene.items == ()
    assert scene.place in LEXICON.places
