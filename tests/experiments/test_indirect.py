"""Table 1 against explicit effects and whole passes, on the sandbox's model."""

import dataclasses

import numpy as np
import pytest
import torch

from advgen.attack.progress import Silent
from advgen.errors import ConfigError
from advgen.experiments import experiment_preset, open_subject
from advgen.experiments.indirect import (
    choose_neurons,
    compare_effects,
    explained,
    indirect_hits,
    second_order_hits,
)
from advgen.experiments.output import result_json
from advgen.experiments.paired import correct
from advgen.imagesets.chosen import choose_images
from advgen.lens import ablated_representations, indirect_effects, mean_activations
from advgen.store import ArtifactStore

LAYERS = (2, 4)
TOP = 9


def open_small(folder, **changes):
    values = {
        "images": "sandbox:40?single=1&size=60",
        "lens_images": "sandbox:30?size=60",
        "layers": LAYERS,
        "batch_size": 16,
        "top_images": TOP,
    }
    config = experiment_preset("sandbox", **{**values, **changes})
    return open_subject(config, ArtifactStore(folder), Silent())


@pytest.fixture(scope="module")
def store_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def subject(store_folder):
    return open_small(store_folder)


@pytest.fixture(scope="module")
def found(subject):
    return compare_effects(subject, neurons=3, images=20)


def few_pixels(subject, count=20):
    images = choose_images(subject.summarised.images, shuffle=0, limit=count)
    return torch.stack([subject.clip.preprocess(image) for image in images])


def first_share(effects):
    """Share of the energy of the largest centred effects along their first component, by SVD."""
    centred = effects - effects.mean(axis=0)
    order = np.argsort(-np.linalg.norm(centred, axis=1))[:TOP]
    values = np.linalg.svd(centred[order], compute_uv=False)
    return values[0] ** 2 / (values**2).sum()


def test_neurons_are_drawn_with_the_seed(subject, tmp_path):
    chosen = choose_neurons(subject, 2, 50)
    assert chosen == choose_neurons(subject, 2, 50) == sorted(set(chosen)) and len(chosen) == 50
    assert chosen[0] >= 0 and chosen[-1] < 640
    others = [choose_neurons(subject, 4, 50), choose_neurons(open_small(tmp_path, seed=1), 2, 50)]
    assert chosen not in others
    assert choose_neurons(subject, 2, 640) == list(range(640))


@pytest.mark.parametrize("count", [0, -3, 641])
def test_too_many_neurons(subject, count):
    with pytest.raises(ConfigError, match=rf"has 640 neurons; ask for 1 to 640, not {count}"):
        choose_neurons(subject, 2, count)


@pytest.mark.parametrize("count", [1, 31])
def test_too_many_images(subject, count):
    with pytest.raises(ConfigError, match=rf"has 30 images; .*, not {count}"):
        compare_effects(subject, neurons=3, images=count)


def test_second_order_hits_are_those_of_ablated_embeddings(store_folder):
    subject = open_small(store_folder, lens_images="sandbox:40?single=1&size=60")
    lens = subject.lens()
    collection = subject.collect(lens)
    hits = second_order_hits(subject)
    for layer in LAYERS:
        left = ablated_representations(lens, collection.effects, [layer])
        assert torch.equal(
            hits.ablated[layer], correct(left, subject.classifier, subject.all_labels)
        )
    pixels = torch.cat([batch.pixels for batch in subject.evaluated])
    plain = subject.clip.encode_image(pixels)
    assert torch.equal(hits.plain, correct(plain, subject.classifier, subject.all_labels))
    assert hits.plain.sum() > 20 and hits.skipped == ()


def test_indirect_hits_are_those_of_a_whole_pass(subject):
    seen = torch.cat([batch.pixels for batch in subject.summarised])
    mean = mean_activations(subject.clip, [seen], LAYERS)
    pixels = torch.cat([batch.pixels for batch in subject.evaluated])
    hits = indirect_hits(subject)
    for layer in LAYERS:
        block = subject.clip.model.visual.transformer.resblocks[layer]
        replaced = mean[layer].expand(len(pixels), -1, -1)
        handle = block.mlp.gelu.register_forward_hook(lambda *_, value=replaced: value)
        try:
            left = subject.clip.encode_image(pixels)
        finally:
            handle.remove()
        assert torch.equal(hits[layer], correct(left, subject.classifier, subject.all_labels))
    assert not torch.equal(hits[2], hits[4])


def test_components_are_of_the_same_neurons_and_images(subject, found):
    pixels = few_pixels(subject)
    for row in found.layers:
        neurons = list(row.chosen)
        mean = mean_activations(subject.clip, [pixels], [row.layer])[row.layer]
        indirect = indirect_effects(subject.clip, pixels, row.layer, mean, neurons).numpy()
        second = subject.lens().effects(pixels, row.layer)[:, neurons].numpy()
        shares = [
            [first_share(effects[:, place].astype(float)) for place in range(3)]
            for effects in (second, indirect)
        ]
        assert row.explained_chosen.mean == pytest.approx(np.mean(shares[0]), abs=1e-3)
        assert row.explained_indirect.mean == pytest.approx(np.mean(shares[1]), abs=1e-3)
        assert row.explained_indirect.median == pytest.approx(np.median(shares[1]), abs=1e-3)
        gain = np.mean(np.subtract(shares[0], shares[1]))
        assert row.gain.difference == pytest.approx(gain, abs=1e-3)


def test_rows(subject, found):
    assert [row.layer for row in found.layers] == list(LAYERS)
    assert (found.evaluated, found.compared, found.top_images) == (40, 20, TOP)
    for row in found.layers:
        assert row.chosen == tuple(choose_neurons(subject, row.layer, 3))
        assert row.loss.difference == pytest.approx(row.indirect - row.second_order)
        assert row.explained.neurons == 640 and row.explained_indirect.neurons == 3
        assert max(row.second_order, row.indirect) <= found.unablated + 0.1


def test_the_same_seed_gives_the_same_bytes(store_folder, found):
    again = compare_effects(open_small(store_folder), neurons=3, images=20)
    assert result_json(dataclasses.asdict(again)) == result_json(dataclasses.asdict(found))


def test_neurons_without_a_direction_do_not_count(subject):
    whole = subject.directions[2]
    tensors = {name: values[:3].clone() for name, values in whole.to_tensors().items()}
    tensors["direction"][1] = 0
    shares = tensors["explained_variance"]
    found = explained(type(whole).from_tensors(tensors))
    assert found.neurons == 2
    assert found.mean == pytest.approx(float(shares[0] + shares[2]) / 2)
    tensors["direction"][:] = 0
    silent = explained(type(whole).from_tensors(tensors))
    assert silent.neurons == 0 and np.isnan(silent.mean) and np.isnan(silent.median)
