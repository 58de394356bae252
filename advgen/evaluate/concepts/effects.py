"""How large every neuron's effect is in an image, and which effects are large for their neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.lens.directions import effect_norms, neuron_slices

Threshold = Literal["quantile", "top", "none"]
"""From where on a neuron counts as activated, see `activated`."""
THRESHOLDS: tuple[Threshold, ...] = get_args(Threshold)


@dataclass(frozen=True, slots=True, eq=False)
class EffectSizes:
    """Sizes of the centred second-order effects phi_n(I) - b_n, in units of the image embedding.

    Attributes:
        norms: Float [image, neuron], their norms.
        projections: Float [image, neuron], x_n(I), their signed coordinates on r_n.
    """

    norms: Float[Tensor, "image neuron"]
    projections: Float[Tensor, "image neuron"]


@torch.no_grad()
def effect_sizes(
    lens: SecondOrderLens,
    directions: Mapping[int, NeuronDirections],
    pixels: Float[Tensor, "image 3 height width"],
) -> EffectSizes:
    """Norms and projections of all neurons' centred effects, in one pass of the tower.

    The bias joins the basis as one more row with the coefficient -1, so that the norm comes out of
    the rows' Gram matrix; effects are never formed for all images and neurons together.

    Args:
        lens: A lens of these layers.
        directions: Layer -> r_n and b_n, taken over other images as a rule.
        pixels: A batch as `ClipModel.preprocess` gives it.

    Returns:
        On the CPU; neurons layer by layer in ascending order.
    """
    alpha = lens.coefficients(pixels).alpha
    norms, projections = [], []
    for layer in sorted(directions):
        for chunk in neuron_slices(len(directions[layer]), len(pixels), lens.basis.size(layer)):
            part = _chunk_sizes(lens, layer, directions[layer], chunk, alpha[layer][:, chunk])
            norms.append(part.norms)
            projections.append(part.projections)
    return EffectSizes(torch.cat(norms, dim=1), torch.cat(projections, dim=1))


def joined_sizes(parts: list[EffectSizes]) -> EffectSizes:
    """The sizes of several batches in a row."""
    return EffectSizes(
        torch.cat([part.norms for part in parts]),
        torch.cat([part.projections for part in parts]),
    )


def activated(
    norms: Float[Tensor, "image neuron"],
    directions: Mapping[int, NeuronDirections],
    threshold: Threshold = "quantile",
) -> Bool[Tensor, "image neuron"]:
    """Which neurons an image activates: those whose effect is large for them.

    `quantile`: the norm is above the neuron's 98th percentile over the image set D (paper Sec.
    5.2). `top`: it reaches the 100th largest centred norm over D, the rule of the released code
    (with 5000 images the same 2 %; with 2000, 5 %). `none`: all neurons that have a direction.

    Differs from the paper: `none`. The largest effects alone leave out part of what the neurons
    say together: see `python -m benchmarks.concepts --tune`.

    Args:
        norms: Of centred effects.
        directions: Layer -> thresholds.
        threshold: The rule.

    Raises:
        ValueError: If there is no such rule.
    """
    if threshold not in THRESHOLDS:
        raise ValueError(f"expected a threshold of {', '.join(THRESHOLDS)}; got {threshold!r}")
    speaks = torch.cat([directions[layer].direction for layer in sorted(directions)]).any(dim=1)
    if threshold == "none":
        return speaks.to(norms.device).expand(norms.shape)
    field = "norm_quantile" if threshold == "quantile" else "norm_threshold"
    bound = torch.cat([getattr(directions[layer], field) for layer in sorted(directions)])
    bound = bound.to(norms)
    return ((norms > bound) if threshold == "quantile" else (norms >= bound)) & speaks


def _chunk_sizes(
    lens: SecondOrderLens,
    layer: int,
    directions: NeuronDirections,
    chunk: slice,
    alpha: Float[Tensor, "image neuron later"],
) -> EffectSizes:
    rows = lens.basis.rows(layer, chunk)
    rows = torch.cat([rows, directions.bias[chunk, None].to(rows)], dim=1)
    values = alpha.to(rows).transpose(0, 1)
    values = torch.cat([values, values.new_full((*values.shape[:2], 1), -1.0)], dim=2)
    read = rows @ directions.direction[chunk, :, None].to(rows)
    return EffectSizes(effect_norms(values, rows).T.cpu(), (values @ read)[:, :, 0].T.cpu())
