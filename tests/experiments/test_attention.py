"""Ablated attention against explicit sums, on the sandbox's model."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from PIL import Image

from advgen.attack.progress import Silent
from advgen.errors import DataError
from advgen.experiment_plots import layer_curves
from advgen.experiments import experiment_preset, open_subject
from advgen.experiments.attention import (
    AttentionAblation,
    Order,
    ablate_attention,
    ablated_embeddings,
    mean_attention_effects,
)
from advgen.lens import attention_effects
from advgen.store import ArtifactStore

STEPS: dict[Order, Callable[[int, int], Iterable[int]]] = {
    "first": lambda layer, layers: range(layer + 1),
    "last": lambda layer, layers: range(layer, layers),
    "single": lambda layer, layers: [layer],
}


def open_small(folder, **changes):
    values = {
        "images": "sandbox:40?single=1&size=60",
        "lens_images": "sandbox:30?size=60",
        "batch_size": 16,
    }
    config = experiment_preset("sandbox", **{**values, **changes})
    return open_subject(config, ArtifactStore(folder), Silent())


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return open_small(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def found(subject):
    return ablate_attention(subject)


def whole(source):
    return torch.cat([batch.pixels for batch in source])


def made(first, unablated=0.9):
    count = len(first)
    return AttentionAblation(
        evaluated=10,
        skipped=(),
        summarised=10,
        unablated=unablated,
        first=tuple(first),
        last=tuple(first),
        single=(0.0,) * count,
        cost=(),
    )


@pytest.mark.parametrize("order", STEPS)
def test_embeddings_are_explicit_sums(order):
    generator = torch.Generator().manual_seed(3)
    effects = torch.randn(4, 5, 7, generator=generator, dtype=torch.float64)
    mean = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    plain = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    found = ablated_embeddings(effects, mean, plain, order)
    for layer in range(5):
        expected = plain.numpy().copy()
        for other in STEPS[order](layer, 5):
            expected -= effects[:, other].numpy() - mean[other].numpy()
        assert np.allclose(found[:, layer].numpy(), expected, atol=1e-12)


def test_effects_at_their_mean_change_nothing():
    effects = torch.randn(1, 3, 6).expand(4, 3, 6)
    plain = torch.randn(4, 6)
    for order in STEPS:
        found = ablated_embeddings(effects, effects[0], plain, order)
        assert torch.equal(found, plain[:, None].expand(4, 3, 6))


def test_unknown_order():
    with pytest.raises((ValueError, TypeCheckError), match="order"):
        ablated_embeddings(torch.zeros(1, 2, 3), torch.zeros(2, 3), torch.zeros(1, 3), "middle")  # type: ignore[arg-type]


def test_accuracies_are_those_of_explicit_sums(subject, found):
    effects, plain = attention_effects(subject.clip, whole(subject.evaluated))
    mean = attention_effects(subject.clip, whole(subject.summarised))[0].double().mean(dim=0)
    effects, plain, mean = effects.double().numpy(), plain.double().numpy(), mean.numpy()
    classifier, labels = subject.classifier.double().numpy(), subject.all_labels.numpy()

    def accuracy(embeddings):
        return ((embeddings @ classifier.T).argmax(axis=1) == labels).mean()

    assert found.unablated == pytest.approx(accuracy(plain)) and found.unablated > 0.5
    for order, steps in STEPS.items():
        expected = [
            accuracy(plain - sum(effects[:, other] - mean[other] for other in steps(layer, 6)))
            for layer in range(6)
        ]
        assert getattr(found, order) == pytest.approx(expected)
    assert (found.evaluated, found.summarised, found.skipped) == (40, 30, ())


def test_ends_of_the_runs_agree(found):
    assert found.first[-1] == found.last[0] == found.all_ablated
    assert found.first[0] == found.single[0] and found.last[-1] == found.single[-1]
    assert found.all_ablated < found.unablated
    for cost, left in zip(found.cost, found.single, strict=True):
        assert cost.difference == pytest.approx(found.unablated - left)


def test_batches_do_not_matter(tmp_path, found):
    again = ablate_attention(open_small(tmp_path, batch_size=7))
    assert dataclasses.asdict(again) == dataclasses.asdict(found)


@pytest.mark.parametrize(
    ("first", "needed"),
    [
        ([0.90, 0.90, 0.89, 0.5], 1),
        ([0.90, 0.90, 0.90, 0.9], 0),
        ([0.80, 0.90, 0.90, 0.9], 4),
        ([0.90, 0.80, 0.90, 0.1], 3),
        ([0.95, 0.91, 0.60, 0.1], 2),
    ],
)
def test_layers_that_must_stay(first, needed):
    assert made(first).needed(0.011) == needed


def test_unreadable_images_are_left_out_and_named(tmp_path, subject):
    for number in range(6):
        folder = tmp_path / "images" / ("dog" if number % 2 else "cat")
        folder.mkdir(parents=True, exist_ok=True)
        image: Image.Image = subject.evaluated.images[number]
        image.save(folder / f"{number}.png")
    (tmp_path / "images" / "cat" / "2.png").write_bytes(b"torn")
    images = str(tmp_path / "images")
    found = ablate_attention(open_small(tmp_path / "store", images=images))
    assert found.evaluated == 5
    assert ["2.png" in item.name for item in found.skipped] == [True]


def test_means_need_images(subject):
    with pytest.raises(DataError, match="at least one image"):
        mean_attention_effects(subject.clip, [])


def test_curves_are_drawn_in_percent():
    accuracy = {"first": np.array([0.9, 0.5]), "single": np.array([0.25, 0.75])}
    axes = layer_curves(accuracy, baseline=0.8, xlabel="attention layer")
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in axes.lines}
    assert drawn == {"not ablated": [80, 80], "first": [90, 50], "single": [25, 75]}
    assert axes.get_xlabel() == "attention layer"
    with pytest.raises(ValueError, match="as many values"):
        layer_curves({"a": np.zeros(2), "b": np.zeros(3)}, baseline=0.5)
