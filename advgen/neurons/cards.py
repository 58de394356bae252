"""Neuron cards: facts of a neuron with the images that drive it (paper Figs. 5 and 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.attack.progress import Progress
from advgen.imagesets import ImageSet
from advgen.neurons.catalogue import Catalogue
from advgen.neurons.describe import NeuronFacts
from advgen.neurons.responses import neuron_responses


@dataclass(frozen=True, slots=True)
class TopImage:
    """An image of the set by number, with a neuron's response to it.

    Attributes:
        index: Its place in the image set, from 0.
        norm: Norm of the centred effect.
        projection: Signed projection of the centred effect on r_n.
    """

    index: int
    norm: float
    projection: float


@dataclass(frozen=True, slots=True, eq=False)
class NeuronCard:
    """What a page shows of one neuron.

    Attributes:
        facts: Numbers and words.
        top: Images of largest norm, largest first.
        positive: Images of largest positive projection, largest first.
        negative: Images of largest negative projection, most negative first.
        norms: Norm of the centred effect on every readable image of the set.
        bound: The smallest of `norms` that counts as large: `facts.norm_threshold`, but for the
            rounding of stored coefficients.
    """

    facts: NeuronFacts
    top: tuple[TopImage, ...]
    positive: tuple[TopImage, ...]
    negative: tuple[TopImage, ...]
    norms: Float[np.ndarray, " image"]
    bound: float


def image_name(images: ImageSet, index: int) -> str:
    """What a reader calls an image: its place in the set, and its class where it has one."""
    whole = images.describe(index)
    name = whole.removeprefix(images.name).lstrip("/\\ ") or whole
    labels = images.labels
    return name if labels is None else f"{name}, {images.classes[labels[index]]}"


def leading_images(
    catalogue: Catalogue, facts: Sequence[NeuronFacts], count: int, progress: Progress
) -> list[tuple[TopImage, ...]]:
    """The `count` images of largest norm of each neuron; only these go through the tower again.

    Args:
        catalogue: Model, images, directions.
        facts: Neurons, already described.
        count: Images per neuron; fewer where the directions were fitted to fewer.
        progress: Listener.
    """
    if not facts or count < 1:
        return [() for _ in facts]
    chosen = [entry.neuron for entry in facts]
    tops = [catalogue.directions[n.layer].top_images[n.index, :count].tolist() for n in chosen]
    norms = [catalogue.directions[n.layer].top_norms[n.index, :count].tolist() for n in chosen]
    numbers = sorted({number for top in tops for number in top})
    progress.stage("looking at the top images", len(numbers))
    seen = neuron_responses(catalogue, chosen, numbers, progress).projections
    place = {number: column for column, number in enumerate(numbers)}
    return [
        tuple(
            TopImage(number, norm, seen[row, place[number]].item())
            for number, norm in zip(top, norms[row], strict=True)
        )
        for row, top in enumerate(tops)
    ]


def make_cards(
    catalogue: Catalogue, facts: Sequence[NeuronFacts], count: int, progress: Progress
) -> list[NeuronCard]:
    """Cards of some neurons, after one pass over the whole image set.

    Args:
        catalogue: Model, images, directions.
        facts: Neurons, already described.
        count: Images per side.
        progress: Listener.
    """
    if not facts:
        return []
    numbers = range(len(catalogue.images))
    progress.stage(f"responses of {len(facts)} neurons to {catalogue.images.name}", len(numbers))
    chosen = [entry.neuron for entry in facts]
    seen = neuron_responses(catalogue, chosen, numbers, progress)
    large = [catalogue.directions[neuron.layer].top_images.shape[1] for neuron in chosen]
    return [
        _card(entry, norms, projections, count, size)
        for size, entry, norms, projections in zip(
            large, facts, seen.norms, seen.projections, strict=True
        )
    ]


def _card(
    facts: NeuronFacts,
    norms: Float[Tensor, " image"],
    projections: Float[Tensor, " image"],
    count: int,
    large: int,
) -> NeuronCard:
    def images(order: Int[Tensor, " image"]) -> tuple[TopImage, ...]:
        return tuple(TopImage(n, norms[n].item(), projections[n].item()) for n in order.tolist())

    readable = torch.nonzero(norms.isfinite())[:, 0]
    rising = readable[torch.argsort(projections[readable], stable=True)]
    largest = readable[torch.argsort(norms[readable], descending=True, stable=True)]
    return NeuronCard(
        facts=facts,
        top=images(largest[:count]),
        positive=images(rising.flip(0)[: min(count, int((projections > 0).sum()))]),
        negative=images(rising[: min(count, int((projections < 0).sum()))]),
        norms=norms[readable].numpy(),
        bound=norms[largest[:large][-1]].item(),
    )
