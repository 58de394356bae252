"""How large the effects of neurons are on some images, along their directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.lens.directions import neuron_slices


@torch.no_grad()
def mean_sizes(
    lens: SecondOrderLens,
    directions: Mapping[int, NeuronDirections],
    batches: Iterable[Float[Tensor, "_ 3 height width"]],
) -> dict[int, Float[Tensor, " neuron"]]:
    """Mean over images of |x_n(I)| = |<phi_n(I) - b_n, r_n>|, for all neurons of some layers.

    One pass of the tower; nothing is kept but the sums.

    Args:
        lens: A lens of these layers.
        directions: Layer -> r_n and b_n, taken over other images as a rule.
        batches: Preprocessed images.

    Returns:
        Layer -> mean size, float32 on the CPU, in the units of the image embedding.

    Raises:
        ValueError: If there is no image.
    """
    reads = {layer: _reads(lens, layer, found) for layer, found in directions.items()}
    offsets = {
        layer: (found.bias * found.direction).sum(dim=1) for layer, found in directions.items()
    }
    total = {layer: torch.zeros(len(found)) for layer, found in directions.items()}
    count = 0
    for pixels in batches:
        alpha = lens.coefficients(pixels).alpha
        count += len(pixels)
        for layer, read in reads.items():
            values = alpha.pop(layer)
            coordinate = torch.einsum("ink,nk->in", values, read.to(values)).cpu()
            total[layer] += (coordinate - offsets[layer]).abs().sum(dim=0)
    if not count:
        raise ValueError("expected at least one image; got none")
    return {layer: summed / count for layer, summed in total.items()}


def _reads(
    lens: SecondOrderLens, layer: int, directions: NeuronDirections
) -> Float[Tensor, "neuron later"]:
    """What a neuron's coefficients are multiplied by to give <phi_n, r_n>."""
    parts = []
    for chunk in neuron_slices(len(directions), 0, lens.basis.size(layer)):
        rows = lens.basis.rows(layer, chunk)
        parts.append((rows @ directions.direction[chunk, :, None].to(rows))[:, :, 0])
    return torch.cat(parts)
