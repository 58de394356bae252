"""What is lost when second-order effects are ablated, and what brings it back (Figs. 3 and 9).

Source: arXiv 2406.04341, Sec. 3.3 and 4.1. Means, norm thresholds and directions come from D, the
accuracies from other, labelled images, of which one pass of the tower is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.experiments.subject import Subject
from advgen.imagesets.batches import Skipped
from advgen.lens import Collection, LayerSums, NeuronDirections, SecondOrderLens, layer_sums

LAST = 3
"""Layers of the group that stands for the paper's layers 8 to 10."""
VARIANTS = ("ablated", "without_large", "without_small", "first_component")


@dataclass(frozen=True, slots=True)
class AblationRow:
    """Accuracies when the effects of some layers are changed together; shares in [0, 1].

    Attributes:
        layers: The layers.
        ablated: Every effect replaced by its mean over D.
        without_large: Only effects whose norm reaches the neuron's threshold replaced.
        without_small: Only the others replaced.
        first_component: Every effect replaced by its projection on the neuron's direction.
        share_large: Share of (neuron, image) whose norm reaches the threshold.
        explained_variance: Median over neurons with a direction of the variance along it.
    """

    layers: tuple[int, ...]
    ablated: float
    without_large: float
    without_small: float
    first_component: float
    share_large: float
    explained_variance: float

    @property
    def name(self) -> str:
        """How tables call it."""
        return layers_name(self.layers)


@dataclass(frozen=True, slots=True)
class MeanAblation:
    """The rows of Figs. 3 and 9.

    Attributes:
        baseline: Accuracy of the unablated embeddings, in [0, 1].
        images: Evaluated images that could be read.
        rows: Single layers in order, then groups.
        skipped: Evaluated images that could not be read.
    """

    baseline: float
    images: int
    rows: tuple[AblationRow, ...]
    skipped: tuple[Skipped, ...] = field(default=())

    @property
    def layers(self) -> tuple[AblationRow, ...]:
        """The rows of single layers."""
        return tuple(row for row in self.rows if len(row.layers) == 1)


def layers_name(layers: Sequence[int]) -> str:
    """`layer 9`, `layers 8-10`, `layers 0, 3`."""
    if len(layers) == 1:
        return f"layer {layers[0]}"
    if list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"layers {layers[0]}-{layers[-1]}"
    return f"layers {', '.join(map(str, layers))}"


def layer_groups(layers: Sequence[int]) -> list[tuple[int, ...]]:
    """The last three layers and all of them, where these are more than one and differ."""
    groups = [tuple(layers[-LAST:]), tuple(layers)]
    return list(dict.fromkeys(group for group in groups if len(group) > 1))


def joined_sums(parts: Sequence[LayerSums]) -> LayerSums:
    """The sums of several layers together; `share_large` is their mean.

    Raises:
        ValueError: If there is none.
    """
    if not parts:
        raise ValueError("expected at least one layer; got none")
    first = parts[0]
    return LayerSums(
        every=_total(part.every for part in parts),
        large=_total(part.large for part in parts),
        component=_total(part.component for part in parts),
        rebuilt={name: _total(part.rebuilt[name] for part in parts) for name in first.rebuilt},
        kept={share: _total(part.kept[share] for part in parts) for share in first.kept},
        share_large=sum(part.share_large for part in parts) / len(parts),
    )


def ablation_variants(
    representation: Float[Tensor, "image embed"], sums: LayerSums
) -> dict[str, Float[Tensor, "image embed"]]:
    """The embeddings of `VARIANTS`.

    ``M - every`` is a mean ablation; ``M - large`` and ``M - every + large`` ablate only effects
    that reach, or miss, the threshold; ``M - every + component`` keeps each effect's projection.

    Args:
        representation: Embeddings M(I) in the scale of the effects.
        sums: Of one layer or of several (`joined_sums`), for the same images.
    """
    bare = representation - sums.every
    return {
        "ablated": bare,
        "without_large": representation - sums.large,
        "without_small": bare + sums.large,
        "first_component": bare + sums.component,
    }


def mean_ablation(subject: Subject) -> MeanAblation:
    """Mean ablation and reconstruction of every layer, of the last three and of all together.

    Differs from the paper: large norms are those that reach the norm of the neuron's 100th (or
    `top_images`-th) image of D, as in the released code; the text takes the 100 largest of the
    evaluated images. Several layers are ablated by taking the sum of their effects off, with
    attention and scales as in the unablated pass.

    Raises:
        AdvgenError: If images or directions cannot be had.
    """
    directions = subject.directions
    lens = subject.lens()
    collection = subject.collect(lens)
    try:
        return measure_ablation(subject, collection, lens, directions)
    finally:
        collection.discard()


def measure_ablation(
    subject: Subject,
    collection: Collection,
    lens: SecondOrderLens,
    directions: Mapping[int, NeuronDirections],
) -> MeanAblation:
    """As `mean_ablation`, from coefficients and directions that are there already."""
    effects = collection.effects
    subject.progress.stage("ablating", len(lens.layers))
    sums: dict[int, LayerSums] = {}
    for layer in lens.layers:
        sums[layer] = layer_sums(effects.tables[layer], lens.basis, layer, directions[layer])
        subject.progress.advance()
    groups = [(layer,) for layer in lens.layers] + layer_groups(lens.layers)
    rows = []
    for group in groups:
        joined = joined_sums([sums[layer] for layer in group])
        found = accuracies(
            subject, ablation_variants(effects.representation, joined), effects.numbers
        )
        rows.append(
            AblationRow(
                group,
                *(found[name] for name in VARIANTS),
                share_large=joined.share_large,
                explained_variance=median_explained([directions[layer] for layer in group]),
            )
        )
    baseline = subject.accuracy(effects.representation, effects.numbers)
    return MeanAblation(baseline, len(effects.numbers), tuple(rows), collection.skipped)


def accuracies(
    subject: Subject,
    variants: Mapping[str, Float[Tensor, "image embed"]],
    numbers: Int[Tensor, " image"],
) -> dict[str, float]:
    """Zero-shot accuracy of each variant of the embeddings."""
    return {name: subject.accuracy(variant, numbers) for name, variant in variants.items()}


def median_explained(directions: Sequence[NeuronDirections]) -> float:
    """Median over neurons of the variance along their direction; NaN if none has a direction."""
    speaking = [part.explained_variance[part.direction.norm(dim=1) > 0] for part in directions]
    values = torch.cat(speaking).double()
    return values.quantile(0.5).item() if len(values) else float("nan")


def _total(parts: Iterable[Float[Tensor, "image embed"]]) -> Float[Tensor, "image embed"]:
    return torch.stack(list(parts)).sum(dim=0)
