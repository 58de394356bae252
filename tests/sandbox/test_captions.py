import random

import pytest

from advgen.english import mentions, words_of
from advgen.sandbox.captions import OPENINGS, caption
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.reader import read_description
from advgen.sandbox.scene import Item, Scene, sample_scene
from advgen.sandbox.tokenizer import WordTokenizer
from advgen.sandbox.vocabulary import vocabulary

LEXICON = load_lexicon()


@pytest.fixture(scope="module")
def written() -> list[tuple[Scene, str]]:
    pairs = []
    for number in range(1200):
        rng = random.Random(f"c{number}")
        scene = sample_scene(rng, LEXICON)
        pairs.append((scene, caption(rng, scene, LEXICON)))
    return pairs


def test_every_word_of_every_caption_is_in_the_vocabulary(
    written: list[tuple[Scene, str]],
) -> None:
    tokenizer = WordTokenizer(vocabulary(LEXICON), 32)
    unknown = {word for _, text in written for word in tokenizer.unknown(text)}
    assert unknown == set()


def test_captions_name_what_is_there_and_nothing_else(written: list[tuple[Scene, str]]) -> None:
    named = 0
    for scene, text in written:
        if not text.startswith(tuple(o.split("{")[0] for o in OPENINGS if o != "{}")):
            continue
        # A kind may stand for a thing, and a word that goes with it may be another thing's name.
        things = [LEXICON.concepts[name] for name in scene.concepts]
        beside = [word for thing in things for word in (*thing.kinds, *thing.words)]
        said = words_of(" ".join([*beside, *LEXICON.places[scene.place].words]))
        reading = read_description(text, LEXICON)
        for mention in reading.mentions:
            nouns = LEXICON.concepts[mention.concept].nouns
            excused = any(mentions(said, noun) for noun in nouns)
            assert mention.concept in scene.concepts or excused, text
        named += scene.items[-1].concept in {mention.concept for mention in reading.mentions}
    assert named > 400


def test_captions_are_of_all_three_kinds_and_mostly_different(
    written: list[tuple[Scene, str]],
) -> None:
    texts = [text for _, text in written]
    assert len(set(texts)) > 0.9 * len(texts)
    assert all(text == " ".join(text.split()) for text in texts)
    assert sum(text in LEXICON.concepts for text in texts) > 10, "bare class names"
    sentences = sum(any(text.startswith(o[:5]) for o in OPENINGS if o != "{}") for text in texts)
    assert 0.4 < sentences / len(texts) < 0.85
    assert sum(" at " in text for text in texts) > 20


def test_half_of_the_words_said_cannot_be_drawn(written: list[tuple[Scene, str]]) -> None:
    undrawn = [read_description(text, LEXICON).undrawn for _, text in written]
    assert sum(map(len, undrawn)) > 0.8 * len(written)


def test_a_colour_is_said_of_the_thing_that_has_it() -> None:
    car = Item("automobile", 1, 32, 40, 30, color="gray")
    dog = Item("dog", 1, 12, 50, 12)
    spelt = set()
    for seed in range(600):
        text = caption(random.Random(seed), Scene("road", 1, (dog, car)), LEXICON)
        words = words_of(text)
        spelt |= {word for word in ("gray", "grey") if word in words}
        for at, word in enumerate(words[:-1]):
            if word in ("gray", "grey") and words[at - 1] == "a":
                assert words[at + 1] not in ("dog", "puppy", "hound")
    assert spelt == {"gray", "grey"}


def test_time_and_weather_are_said_only_when_there_are_any() -> None:
    item = Item("dog", 1, 32, 40, 30)
    plain = Scene("meadow", 1, (item,))
    rough = Scene("meadow", 1, (item,), time="night", weather="fog")
    ends = {"midnight", "moonlight", "fog", "foggy", "mist", "misty"}

    def said(scene: Scene) -> set[str]:
        texts = [caption(random.Random(seed), scene, LEXICON) for seed in range(400)]
        return ends & {word for text in texts for word in words_of(text)}

    quiet = set(LEXICON.places["meadow"].words) | set(LEXICON.concepts["dog"].words)
    assert said(plain) <= quiet
    assert said(rough) == ends
