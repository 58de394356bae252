"""Table 1: second-order effects of neurons beside their indirect effects.

Two questions per layer. How much accuracy is left when all neurons of the layer are mean-ablated,
once in their second-order effects alone, once with everything after them reacting? And how near to
one dimension are a neuron's effects, measured by the variance along their first component?

Source: arXiv 2406.04341, Sec. 3.2 and Table 1.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from advgen.errors import ConfigError
from advgen.experiments.paired import Paired, correct, paired
from advgen.experiments.subject import Subject, plain_pixels
from advgen.imagesets.batches import PixelBatches, Skipped
from advgen.imagesets.chosen import choose_images
from advgen.lens import (
    NeuronDirections,
    ablated_layer,
    indirect_directions,
    layer_sums,
    mean_activations,
    principal_directions,
)

DEFAULT_NEURONS = 64
DEFAULT_IMAGES = 400


@dataclass(frozen=True, slots=True)
class Explained:
    """Share of variance that the first component holds, over neurons whose effect varies.

    Attributes:
        mean: Over these neurons, in [0, 1]; NaN where there is none.
        median: Over these neurons.
        neurons: How many they are.
    """

    mean: float
    median: float
    neurons: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerComparison:
    """The two kinds of effects of one layer's neurons.

    Attributes:
        layer: MLP layer, counted from 0.
        second_order: Accuracy left without the second-order effects of the layer.
        indirect: Accuracy left without its neurons, the rest reacting.
        loss: Accuracy that the second-order ablation costs more than the indirect one.
        explained: First component of the second-order effects of all neurons over all of D.
        explained_chosen: The same of the chosen neurons over the smaller set of images.
        explained_indirect: First component of the indirect effects of these neurons and images.
        gain: By how much a neuron's second-order share exceeds its indirect share, on average.
        chosen: The chosen neurons.
    """

    layer: int
    second_order: float
    indirect: float
    loss: Paired
    explained: Explained
    explained_chosen: Explained
    explained_indirect: Explained
    gain: Paired
    chosen: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectComparison:
    """Table 1 of a model.

    Attributes:
        evaluated: Images that accuracy is measured on.
        skipped: Those of the set that could not be read.
        compared: Images of D that both kinds of components are taken over.
        compared_fingerprint: Of these.
        top_images: Images of largest effect that a component is fitted to, among these.
        unablated: Accuracy of the model as it is, in [0, 1].
        layers: One row each.
    """

    evaluated: int
    skipped: tuple[Skipped, ...]
    compared: int
    compared_fingerprint: str
    top_images: int
    unablated: float
    layers: tuple[LayerComparison, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SecondOrderHits:
    """Which of the readable evaluated images are classified rightly.

    Attributes:
        plain: By the model as it is.
        ablated: Layer -> without its second-order effects.
        skipped: The unreadable images, which have no place in the others.
    """

    plain: Bool[Tensor, " image"]
    ablated: dict[int, Bool[Tensor, " image"]]
    skipped: tuple[Skipped, ...]


def compare_effects(
    subject: Subject, *, neurons: int = DEFAULT_NEURONS, images: int = DEFAULT_IMAGES
) -> EffectComparison:
    """Second-order effects against indirect ones, layer by layer.

    Differs from the paper: indirect effects cost a partial forward pass per neuron and image, so
    their components are taken of a random choice of neurons and images, and compared with the
    second-order ones of the same choice.

    Args:
        subject: Model, labelled images and D.
        neurons: Neurons per layer whose indirect effects are summarised.
        images: Images of D that they are summarised over, drawn at random. Their pixels are held
            in memory.

    Raises:
        ConfigError: If there are fewer neurons or images than asked for.
        DataError: If no image of a set can be read.
    """
    few = _some_images(subject, images)
    chosen = {layer: choose_neurons(subject, layer, neurons) for layer in subject.layers}
    hits = second_order_hits(subject)
    indirect = indirect_hits(subject)
    pixels = [part for part, _ in subject.pixels(few, "images of indirect effects")]
    first = _second_order_components(subject, pixels, chosen)
    compared = sum(map(len, pixels))
    subject.progress.stage("indirect effects of neurons", len(chosen))
    rows = []
    for layer, numbers in chosen.items():
        other = indirect_directions(
            subject.clip, lambda: pixels, layer, numbers, top_images=subject.config.top_images
        )
        subject.progress.advance()
        rows.append(
            LayerComparison(
                layer=layer,
                second_order=_rate(hits.ablated[layer]),
                indirect=_rate(indirect[layer]),
                loss=paired(indirect[layer], hits.ablated[layer]),
                explained=explained(subject.directions[layer]),
                explained_chosen=explained(first[layer]),
                explained_indirect=explained(other),
                gain=paired(first[layer].explained_variance, other.explained_variance),
                chosen=tuple(numbers),
            )
        )
    return EffectComparison(
        evaluated=len(hits.plain),
        skipped=hits.skipped,
        compared=compared,
        compared_fingerprint=few.images.fingerprint,
        top_images=min(subject.config.top_images, compared),
        unablated=_rate(hits.plain),
        layers=tuple(rows),
    )


def choose_neurons(subject: Subject, layer: int, count: int) -> list[int]:
    """Random neurons of a layer, in order; the same for the same seed of the configuration.

    Raises:
        ConfigError: If the layer does not have that many.
    """
    available = subject.clip.vision.neurons
    if not 1 <= count <= available:
        raise ConfigError(
            f"a layer of {subject.clip.name} has {available} neurons; ask for 1 to {available}, "
            f"not {count}"
        )
    rng = random.Random(f"neurons-{subject.config.seed}-{layer}")
    return sorted(rng.sample(range(available), count))


def second_order_hits(subject: Subject) -> SecondOrderHits:
    """Rightly classified images with each layer's second-order effects at their means over D."""
    directions, lens = subject.directions, subject.lens()
    collection = subject.collect(lens)
    try:
        effects = collection.effects
        labels = subject.all_labels[effects.numbers]
        plain = correct(effects.representation, subject.classifier, labels)
        ablated = {}
        for layer in subject.layers:
            sums = layer_sums(effects.tables[layer], lens.basis, layer, directions[layer])
            left = effects.representation - sums.every
            ablated[layer] = correct(left, subject.classifier, labels)
    finally:
        collection.discard()
    return SecondOrderHits(plain, ablated, collection.skipped)


def indirect_hits(subject: Subject) -> dict[int, Bool[Tensor, " image"]]:
    """Rightly classified images per layer, all its neurons at their means over D, the rest rerun.

    Activations are replaced by their means per token.
    """
    clip, layers = subject.clip, subject.layers
    batches = plain_pixels(subject.pixels(subject.summarised, "mean activations"))
    mean = mean_activations(clip, batches, layers)
    found = {layer: [] for layer in layers}
    for pixels, numbers in subject.pixels(subject.evaluated, "layers ablated"):
        for layer in layers:
            left = ablated_layer(clip, pixels, layer, mean[layer])
            found[layer].append(correct(left, subject.classifier, subject.all_labels[numbers]))
    return {layer: torch.cat(hits) for layer, hits in found.items()}


def explained(directions: NeuronDirections) -> Explained:
    """Share of variance along the first component, of the neurons whose effect varies."""
    shares = directions.explained_variance[directions.direction.norm(dim=1) > 0].double()
    if not len(shares):
        return Explained(float("nan"), float("nan"), 0)
    return Explained(float(shares.mean()), float(shares.quantile(0.5)), len(shares))


def _second_order_components(
    subject: Subject,
    pixels: Sequence[Float[Tensor, "_ 3 height width"]],
    chosen: Mapping[int, list[int]],
) -> dict[int, NeuronDirections]:
    """Directions of the chosen neurons over fewer images."""
    lens = subject.lens()
    subject.progress.stage("second-order effects of the same images")
    effects = lens.collect(pixels)
    found = {}
    for layer, numbers in chosen.items():
        every = principal_directions(
            effects.tables[layer], lens.basis, layer, top_images=subject.config.top_images
        ).to_tensors()
        found[layer] = NeuronDirections.from_tensors(
            {name: values[numbers] for name, values in every.items()}
        )
    return found


def _some_images(subject: Subject, count: int) -> PixelBatches:
    whole = subject.summarised
    if not 2 <= count <= len(whole.images):
        raise ConfigError(
            f"{whole.images.name} has {len(whole.images)} images; ask for 2 to as many for the "
            f"indirect effects, not {count}"
        )
    images = choose_images(whole.images, shuffle=subject.config.seed, limit=count)
    return PixelBatches(images, subject.clip.preprocess, whole.batch_size, workers=whole.workers)


def _rate(hits: Bool[Tensor, " image"]) -> float:
    return float(hits.double().mean())
