"""The two treatments of the layer norm's mean side by side: which one is to be preferred?

`paper` drops the token mean (Eq. 11), `centered` gives every neuron its own, which makes the sum of
the effects exact. The coefficients are the same for both; only the basis differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.config import TREATMENTS
from advgen.experiments.mean_ablation import MeanAblation, measure_ablation
from advgen.experiments.subject import Subject
from advgen.lens import NeuronDirections


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the directions of both treatments are in one layer.

    Attributes:
        layer: The layer.
        median: Median over neurons of |cos| between the two directions, in [0, 1].
        low: The 5th percentile.
        alike: Share of neurons with |cos| above 0.95.
    """

    layer: int
    median: float
    low: float
    alike: float


@dataclass(frozen=True, slots=True)
class Treatments:
    """Both treatments on the same images.

    Attributes:
        ablation: Treatment -> mean ablation and reconstruction.
        agreement: One entry per layer.
    """

    ablation: dict[str, MeanAblation]
    agreement: tuple[Agreement, ...]


def compare_treatments(subject: Subject) -> Treatments:
    """Ablate and rebuild under each treatment, and compare their directions.

    Returns:
        Results of every treatment; `subject.config.treatment` plays no part.

    Raises:
        AdvgenError: If images or directions cannot be had.
    """
    directions = {
        treatment: subject.directions_of(subject.layers, treatment=treatment)
        for treatment in TREATMENTS
    }
    lenses = {treatment: subject.lens(treatment=treatment) for treatment in TREATMENTS}
    collection = subject.collect(lenses[TREATMENTS[0]])
    try:
        ablation: dict[str, MeanAblation] = {
            treatment: measure_ablation(subject, collection, lens, directions[treatment])
            for treatment, lens in lenses.items()
        }
    finally:
        collection.discard()
    first, second = (directions[treatment] for treatment in TREATMENTS)
    agreement = tuple(_agreement(layer, first[layer], second[layer]) for layer in subject.layers)
    return Treatments(ablation, agreement)


def direction_cosines(
    first: NeuronDirections, second: NeuronDirections
) -> Float[Tensor, " neuron"]:
    """|cos| between the directions of the neurons that have one in both, in [0, 1]."""
    cosines = (first.direction.double() * second.direction.double()).sum(dim=1).abs()
    lengths = first.direction.norm(dim=1) * second.direction.norm(dim=1)
    return cosines[lengths > 0].clamp(max=1.0)


def _agreement(layer: int, first: NeuronDirections, second: NeuronDirections) -> Agreement:
    cosines = direction_cosines(first, second)
    if not len(cosines):
        return Agreement(layer, *(float("nan"),) * 3)
    low, median = torch.quantile(cosines, torch.tensor([0.05, 0.5], dtype=cosines.dtype)).tolist()
    return Agreement(layer, median, low, (cosines > 0.95).double().mean().item())
