"""Explanations against the lens's own effects: which neurons pushed, and what they add up to."""

import dataclasses

import pytest
import torch

from advgen.errors import ConfigError, ModelError
from advgen.evaluate.explanation import (
    NeuronPush,
    check_explainable,
    contributions,
    explain_image,
    explanation_row,
    with_words,
)
from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.models import load_clip
from advgen.neurons import SignedWord
from advgen.records import ClassPair, Neuron
from advgen.scoring import class_embeddings
from advgen.scoring.heatmap import first_order_heatmap, second_order_heatmap

LAYERS = [1, 4]
PAIR = ClassPair("dog", "deer")


@pytest.fixture(scope="module")
def clip():
    return load_clip("sandbox-a")


@pytest.fixture(scope="module")
def pixels(clip) -> torch.Tensor:
    return torch.randn(1, 3, *clip.image_size, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def classes(clip) -> torch.Tensor:
    return class_embeddings(clip, ("dog", "deer"), ("a photo of {article} {noun}.",))


@pytest.fixture(scope="module")
def directions(clip) -> dict[int, NeuronDirections]:
    noise = torch.randn(6, 3, *clip.image_size, generator=torch.Generator().manual_seed(5))
    return SecondOrderLens(clip, LAYERS).directions([noise], top_images=6)


def centred_effects(clip, pixels, directions, layer) -> torch.Tensor:
    effects = SecondOrderLens(clip, LAYERS).effects(pixels, layer)[0].double()
    return effects - directions[layer].bias.double()


def test_the_neurons_named_are_those_that_pushed_most(clip, pixels, classes, directions) -> None:
    found = explain_image(clip, pixels, PAIR, classes, LAYERS, directions=directions, count=7)
    norm = clip.encode_image(pixels, normalize=False).double().norm()
    contrast = (classes[1] - classes[0]).double()
    centred = {layer: centred_effects(clip, pixels, directions, layer) for layer in LAYERS}
    expected = {
        Neuron(layer, index): float(value)
        for layer in LAYERS
        for index, value in enumerate(centred[layer] @ contrast / norm)
    }
    ranked = sorted(expected, key=lambda neuron: -expected[neuron])
    assert {push.neuron for push in found.towards} == set(ranked[:7])
    assert {push.neuron for push in found.against} == set(ranked[-7:])
    for side in (found.towards, found.against):
        sizes = [abs(push.contribution) for push in side]
        assert sizes == sorted(sizes, reverse=True)
        for push in side:
            neuron = push.neuron
            assert push.contribution == pytest.approx(expected[neuron], rel=1e-3)
            direction = directions[neuron.layer].direction[neuron.index].double()
            along = float(centred[neuron.layer][neuron.index] @ direction / norm)
            assert push.projection == pytest.approx(along, rel=1e-3, abs=1e-6)
    every = contributions(clip, pixels, classes[1] - classes[0], LAYERS, directions)
    assert every.keys() == expected.keys()
    assert sum(every.values()) == pytest.approx(sum(expected.values()) * float(norm), rel=1e-3)


def test_scores_and_maps_are_those_of_the_model(clip, pixels, classes) -> None:
    found = explain_image(clip, pixels, PAIR, classes, LAYERS)
    cosines = clip.encode_image(pixels)[0] @ classes.T
    assert found.scores.cos_true == pytest.approx(float(cosines[0]), abs=1e-6)
    assert found.scores.margin == pytest.approx(float(cosines[1] - cosines[0]), abs=1e-6)
    assert found.taken_for == ("deer" if found.scores.margin > 0 else "dog")
    contrast = classes[1] - classes[0]
    assert torch.equal(found.first_order, first_order_heatmap(clip, pixels, contrast))
    second = second_order_heatmap(clip, pixels, contrast, layers=LAYERS)
    assert torch.equal(found.second_order, second)
    assert found.towards == found.against == ()
    turned = explain_image(clip, pixels, ClassPair("deer", "dog"), classes.flip(0), LAYERS)
    assert turned.taken_for == found.taken_for


def test_words_turn_with_the_side_of_the_direction(clip, pixels, classes, directions) -> None:
    words = (SignedWord("moss", 0.5), SignedWord("bus", -0.25), SignedWord("tree", 0.125))
    push = NeuronPush(Neuron(1, 2), 0.1, 0.3, words)
    assert [word.word for word in push.raised] == ["moss", "tree"]
    other = dataclasses.replace(push, projection=-0.3)
    assert other.raised == (SignedWord("bus", 0.25),)
    assert other.lowered == (SignedWord("moss", -0.5), SignedWord("tree", -0.125))
    found = explain_image(clip, pixels, PAIR, classes, LAYERS, directions=directions, count=1)
    row = explanation_row(
        with_words(found, {p.neuron: words for p in (*found.towards, *found.against)})
    )
    (towards,) = row["towards"]
    assert towards["contribution"] > 0 > row["against"][0]["contribution"]
    assert towards["words"][1] == {"word": "bus", "coefficient": -0.25}
    patches = torch.tensor(row["second_order"]["patches"])
    assert patches.shape == (5, 5)
    assert float(patches.sum()) == pytest.approx(row["second_order"]["sum"], abs=1e-5)


def test_what_cannot_be_explained_is_said(clip, pixels, classes, monkeypatch) -> None:
    with pytest.raises(ValueError, match="expected directions for 3 neurons"):
        explain_image(clip, pixels, PAIR, classes, LAYERS, count=3)
    check_explainable(clip, [0, 4])
    with pytest.raises(ConfigError, match="layer 5 of sandbox-a .* choose layers from 0 to 4"):
        check_explainable(clip, [4, 5])
    monkeypatch.setattr(type(clip.vision), "tokens", property(lambda _: 13))
    with pytest.raises(ModelError, match="form no square"):
        check_explainable(clip, [0])
