"""What the image embedding becomes when second-order effects are ablated or rebuilt.

Source: arXiv 2406.04341, Secs. 3.3 and 4 (Figs. 3, 4 and 9). With attention and scales frozen an
effect is a term of the embedding, so every variant is a linear update of the stored embeddings; no
second pass of the tower is needed for any of them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from advgen.lens.basis import EffectBasis
from advgen.lens.coefficients import CoefficientTable
from advgen.lens.directions import NeuronDirections, centred_rows, neuron_chunks
from advgen.lens.second_order import CollectedEffects, SecondOrderLens

_EFFECT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class LayerSums:
    """Sums over one layer's neurons of their centred effects phi_n(I) - b_n, or of parts of them.

    Args:
        every: Of all effects: what a mean ablation takes off the embedding.
        large: Of effects whose norm reaches the neuron's threshold.
        component: Of the effects' projections on their direction r_n.
        rebuilt: Name -> sum of x_n(I) * (vector of that name), e.g. of text reconstructions.
        kept: Share -> sum of the effects among each neuron's largest ones in this image set.
        share_large: Mean share of images per neuron whose norm reaches the threshold.
    """

    every: Float[Tensor, "image embed"]
    large: Float[Tensor, "image embed"]
    component: Float[Tensor, "image embed"]
    rebuilt: dict[str, Float[Tensor, "image embed"]] = field(default_factory=dict)
    kept: dict[float, Float[Tensor, "image embed"]] = field(default_factory=dict)
    share_large: float = 0.0


@torch.no_grad()
def layer_sums(
    table: CoefficientTable,
    basis: EffectBasis,
    layer: int,
    directions: NeuronDirections,
    *,
    vectors: Mapping[str, Float[Tensor, "neuron embed"]] | None = None,
    shares: Collection[float] = (),
) -> LayerSums:
    """Everything that the ablations and reconstructions of a layer are made of, in one sweep.

    With M(I) the embedding: mean ablation is ``M - every``; without large (small) norms
    ``M - large`` (``M - every + large``); reconstruction from the first component
    ``M - every + component``; from texts ``M - every + rebuilt[name]``.

    Args:
        table: Coefficients of the evaluated images.
        basis: Their basis.
        layer: The layer.
        directions: r_n, b_n and the norm thresholds, from the set D (other images, as a rule).
        vectors: Vectors that take the place of r_n, for instance sum_j gamma_j t_j (Fig. 4). The
            coordinate is the paper's x_n(I) = <phi_n(I) - b_n, r_n>.
        shares: Shares in (0, 1] of largest effects to keep per neuron (selectivity).

    Returns:
        Sums on the CPU, in the images' order in the table.
    """
    vectors = vectors or {}
    device = basis.rows(layer, slice(0, 1)).device
    size = (table.images, directions.direction.shape[1])
    total = {name: torch.zeros(size, device=device) for name in ("every", "large", "component")}
    rebuilt = {name: torch.zeros(size, device=device) for name in vectors}
    kept = {share: torch.zeros(size, device=device) for share in shares}
    large_effects = 0
    for chunk in _effect_chunks(table, size[1]):
        effects = centred_effects(table, basis, layer, directions, chunk)
        norms = effects.norm(dim=-1)
        direction = directions.direction[chunk].to(effects)
        coordinate = torch.einsum("nie,ne->in", effects, direction)
        large = norms >= directions.norm_threshold[chunk, None].to(norms)
        large_effects += int(large.sum())
        total["every"] += effects.sum(dim=0)
        total["large"] += _masked(effects, large)
        total["component"] += coordinate @ direction
        for name, rows in vectors.items():
            rebuilt[name] += coordinate @ rows[chunk].to(effects)
        for share in shares:
            kept[share] += _masked(effects, _largest(norms, share))
    return LayerSums(
        **{name: value.cpu() for name, value in total.items()},
        rebuilt={name: value.cpu() for name, value in rebuilt.items()},
        kept={share: value.cpu() for share, value in kept.items()},
        share_large=large_effects / (table.images * table.neurons),
    )


@torch.no_grad()
def projections(
    table: CoefficientTable, basis: EffectBasis, layer: int, directions: NeuronDirections
) -> Float[Tensor, "image neuron"]:
    """x_n(I) = <phi_n(I) - b_n, r_n>, the signed coordinate of every effect on its direction."""
    parts = []
    for chunk in neuron_chunks(table):
        rows = basis.rows(layer, chunk)
        direction = directions.direction[chunk].to(rows)
        alpha = table.rows(chunk).to(rows.device, rows.dtype)
        read = (rows @ direction[:, :, None])[:, :, 0]
        offset = (directions.bias[chunk].to(rows) * direction).sum(dim=1)
        parts.append((torch.einsum("ink,nk->in", alpha, read) - offset).cpu())
    return torch.cat(parts, dim=1)


def centred_effects(
    table: CoefficientTable,
    basis: EffectBasis,
    layer: int,
    directions: NeuronDirections,
    neurons: slice,
) -> Float[Tensor, "neuron image embed"]:
    """The effects phi_n(I) - b_n of some neurons themselves; b_n is that of `directions`."""
    rows = basis.rows(layer, neurons)
    alpha = table.rows(neurons).to(rows.device, rows.dtype).transpose(0, 1)
    return alpha @ rows - directions.bias[neurons, None].to(rows)


@torch.no_grad()
def ablated_representations(
    lens: SecondOrderLens, collected: CollectedEffects, layers: Collection[int] | None = None
) -> Float[Tensor, "image embed"]:
    """M(I) - sum_n (phi_n(I) - mean phi_n): every neuron's effect replaced by its mean.

    The mean is that of the collected images; `layer_sums` takes it from another set.

    Args:
        lens: The lens that collected the effects.
        collected: Its `SecondOrderLens.collect` over the image set.
        layers: Layers to ablate, together; all collected ones if None.

    Returns:
        Image embeddings, not normalised, in the scale of the effects, on the CPU.

    Raises:
        ValueError: If a layer was not collected.
    """
    wanted = tuple(collected.tables) if layers is None else tuple(layers)
    missing = [layer for layer in wanted if layer not in collected.tables]
    if missing:
        raise ValueError(f"layers must be among {tuple(collected.tables)}; got {missing}")
    total = torch.zeros_like(collected.representation)
    for layer in wanted:
        table = collected.tables[layer]
        for chunk in neuron_chunks(table):
            rows = lens.basis.rows(layer, chunk)
            centred, _ = centred_rows(table, rows, chunk)
            flat = centred.transpose(0, 1).flatten(1)
            total += (flat @ rows.flatten(0, 1)).cpu()
    return collected.representation - total


def classification_accuracy(
    representation: Float[Tensor, "image embed"],
    classifier: Float[Tensor, "class embed"],
    labels: Int[Tensor, " image"],
) -> float:
    """Share of images whose most similar class is their label, in [0, 1].

    Args:
        representation: Image embeddings of any positive scale.
        classifier: Unit rows, see `advgen.models.encode_classes`.
        labels: Row of the right class per image.
    """
    predicted = (representation @ classifier.to(representation).T).argmax(dim=1)
    return float((predicted == labels.to(predicted.device)).float().mean())


def _masked(effects: Tensor, mask: Bool[Tensor, "neuron image"]) -> Float[Tensor, "image embed"]:
    return torch.einsum("nie,ni->ie", effects, mask.to(effects.dtype))


def _largest(norms: Float[Tensor, "neuron image"], share: float) -> Bool[Tensor, "neuron image"]:
    """The `share` of images with the largest norms, per neuron; at least one image."""
    count = max(1, round(share * norms.shape[1]))
    chosen = norms.topk(count, dim=1).indices
    return torch.zeros_like(norms, dtype=torch.bool).scatter_(1, chosen, True)


def _effect_chunks(table: CoefficientTable, embed: int) -> list[slice]:
    per_neuron = 4 * (3 * table.images * embed + table.later * (embed + 2 * table.images))
    step = max(1, _EFFECT_BYTES // per_neuron)
    return [slice(start, start + step) for start in range(0, table.neurons, step)]
