"""What a finished run shows: heat maps of images that fooled the model, or why there are none."""

import dataclasses
import random
from pathlib import Path

import pytest
from PIL import Image

from advgen.config import AttackConfig, attack_config, read_preset
from advgen.imagesets import UnreadableImageError
from advgen.publish import map_images
from advgen.records import Sample
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.reader import compose, read_description
from advgen.sandbox.render import render_scene

BLANK = {"str": "", "int": 0, "float": 0.0, "float | None": 0.0, "bool": False}
BLANK["tuple[str, ...]"] = ()
EMPTY = {field.name: BLANK[str(field.type)] for field in dataclasses.fields(Sample)}


def config(**model: str) -> AttackConfig:
    table = read_preset("sandbox")
    table["model"].update(model)
    return attack_config({**table, "pairs": ["dog:deer"], "images": 3})


def row(number: int, margin: float = 0.1) -> Sample:
    values = {"id": f"s{number}", "true_class": "dog", "target_class": "deer", "verified": True}
    described = {"description": "a dog by a tree", "words": ("tree",), "method": "second-order"}
    return Sample(**{**EMPTY, **values, **described, "margin": margin, "fooled": margin > 0})


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    lexicon = load_lexicon()
    reading = read_description("a dog by a tree", lexicon)
    return render_scene(compose(reading, lexicon, random.Random(0), main="dog"), 128)


def test_maps_are_three_pictures_and_the_same_again(scene: Image.Image) -> None:
    rows = [row(1), row(2, -0.1), row(3, 0.3)]
    mapped, reason = map_images(config(), rows, lambda sample: scene)
    assert reason == "" and [entry.sample.id for entry in mapped] == ["s3", "s1"]
    entry = mapped[0]
    assert len({entry.picture, entry.first_order, entry.second_order}) == 3
    assert all(
        uri.startswith("data:image/webp;base64,") for uri in (entry.picture, entry.first_order)
    )
    assert entry.first_sum != entry.second_sum and "<mark>tree</mark>" in entry.description
    assert map_images(config(), rows, lambda sample: scene) == (mapped, "")


def test_an_image_that_is_gone_has_none(scene: Image.Image) -> None:
    def picture(sample: Sample) -> Image.Image:
        if sample.id == "s1":
            raise UnreadableImageError("s1.png", "it is torn")
        return scene

    mapped, _ = map_images(config(), [row(1), row(2)], picture)
    assert [entry.sample.id for entry in mapped] == ["s2"]
    assert map_images(config(), [row(1)], picture) == ([], "none of the images can be read.")


def test_why_there_are_none(scene: Image.Image) -> None:
    def never(sample: Sample) -> Image.Image:
        raise AssertionError(sample)

    assert map_images(config(), [], never) == ([], "")
    assert map_images(config(), [row(1, -0.1)], never) == ([], "no image fooled the model.")
    mapped, reason = map_images(config(name="sandbox-z"), [row(1)], lambda sample: scene)
    assert mapped == [] and "sandbox-a" in reason


def test_a_tiny_model_with_fewer_layers_than_the_preset(
    scene: Image.Image, tiny_clip: Path
) -> None:
    mapped, reason = map_images(config(name=str(tiny_clip)), [row(1)], lambda sample: scene)
    assert reason == "" and len(mapped) == 1
