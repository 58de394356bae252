"""How chosen neurons respond to each image: norm and signed projection of the centred effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.attack.progress import Progress
from advgen.imagesets import ChosenImages
from advgen.imagesets.batches import PixelBatches
from advgen.lens import SecondOrderLens
from advgen.neurons.catalogue import Catalogue, rows_of
from advgen.records import Neuron


@dataclass(frozen=True, slots=True, eq=False)
class NeuronResponses:
    """Responses of some neurons to some images, in the units of the image embedding.

    Attributes:
        norms: Norm of the centred second-order effect phi_n(I) - b_n; NaN for an unreadable image.
        projections: Its signed projection on r_n; likewise.
    """

    norms: Float[Tensor, "neuron image"]
    projections: Float[Tensor, "neuron image"]


@torch.no_grad()
def neuron_responses(
    catalogue: Catalogue, chosen: Sequence[Neuron], numbers: Sequence[int], progress: Progress
) -> NeuronResponses:
    """One pass of the tower over some images of the catalogue's set, read out for a few neurons.

    Nothing is kept but two numbers per neuron and image. Unreadable images are noted.

    Args:
        catalogue: Model, images and directions.
        chosen: Neurons of its layers.
        numbers: Which images, in the order wanted.
        progress: Advanced by the number of images seen.

    Raises:
        ValueError: If no neuron or no image is given.
        DataError: If none of the images can be read.
    """
    if not chosen or not numbers:
        raise ValueError(f"expected neurons and images; got {len(chosen)} and {len(numbers)}")
    layers = sorted({neuron.layer for neuron in chosen})
    lens = SecondOrderLens(catalogue.clip, layers, treatment=catalogue.config.lens.treatment)
    images = ChosenImages(catalogue.images, numbers, name=catalogue.images.name)
    norms = torch.full((len(chosen), len(numbers)), torch.nan)
    projections = norms.clone()
    for batch in PixelBatches(images, catalogue.clip.preprocess, catalogue.config.lens.batch_size):
        if batch.indices:
            effects = _centred_effects(lens, catalogue, chosen, batch.pixels)
            norms[:, batch.indices] = effects.norm(dim=2)
            direction = rows_of(catalogue, chosen, "direction")
            projections[:, batch.indices] = (effects @ direction[:, :, None])[:, :, 0]
        for skipped in batch.skipped:
            progress.note(f"left out {skipped.name} ({skipped.reason})")
        progress.advance(len(batch.indices) + len(batch.skipped))
    return NeuronResponses(norms, projections)


def _centred_effects(
    lens: SecondOrderLens,
    catalogue: Catalogue,
    chosen: Sequence[Neuron],
    pixels: Float[Tensor, "image 3 height width"],
) -> Float[Tensor, "neuron image embed"]:
    alpha = lens.coefficients(pixels).alpha
    effects = torch.stack(
        [
            alpha[neuron.layer][:, neuron.index]
            @ lens.basis.rows(neuron.layer, slice(neuron.index, neuron.index + 1))[0]
            for neuron in chosen
        ]
    )
    return effects.float().cpu() - rows_of(catalogue, chosen, "bias")[:, None]
