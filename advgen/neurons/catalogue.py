"""A catalogue of neurons: one model, its image set, and the directions of whole layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.attack.directions import neuron_directions
from advgen.attack.opening import open_model
from advgen.attack.progress import Progress
from advgen.config import AttackConfig
from advgen.errors import ConfigError
from advgen.imagesets import ImageSet, load_image_set
from advgen.lens import Budget, NeuronDirections
from advgen.lens.collection import DEFAULT_BUDGET
from advgen.mining import alignments, strongest
from advgen.models import ClipModel
from advgen.records import Neuron
from advgen.store import ArtifactStore

ORDERS = ("explained", "threshold", "norm")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every neuron of some layers.

    Attributes:
        config: Model, lens and text settings; the attack's own settings are not read.
        clip: The model.
        images: What the effects were taken over.
        directions: Layer -> directions of all its neurons.
    """

    config: AttackConfig
    clip: ClipModel
    images: ImageSet
    directions: Mapping[int, NeuronDirections]

    @property
    def neurons(self) -> list[Neuron]:
        """All neurons, layer by layer."""
        return [
            Neuron(layer, index)
            for layer in sorted(self.directions)
            for index in range(len(self.directions[layer]))
        ]


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """What the directions of one layer are like.

    Attributes:
        layer: The layer, from 0.
        neurons: How many neurons it has.
        silent: Neurons whose effect never varies; they have no direction and count in nothing else.
        explained_variance: Median share of variance along the first component, in [0, 1].
        mostly_one: Share of neurons whose first component explains more than half, in [0, 1].
        norm_threshold: Median bound between small and large effects.
        significant: Share of the images that count as significant for a neuron, in [0, 1].
    """

    layer: int
    neurons: int
    silent: int
    explained_variance: float
    mostly_one: float
    norm_threshold: float
    significant: float


def open_catalogue(
    config: AttackConfig,
    store: ArtifactStore,
    progress: Progress,
    *,
    chosen: Iterable[Neuron] = (),
    budget: Budget = DEFAULT_BUDGET,
    workers: int = 0,
) -> Catalogue:
    """Load the model and its directions; layers that the store lacks are computed and stored.

    Args:
        config: Model and lens settings.
        store: Where directions are kept.
        progress: Listener.
        chosen: Neurons that must exist; looked up before anything is computed.
        budget: Bytes for the coefficients, if a pass over the images is needed.
        workers: Processes that read images ahead in that pass.

    Raises:
        ConfigError: If a layer or one of `chosen` does not exist; the message names the range.
        AdvgenError: For any other fault a user can fix.
    """
    progress.stage(f"loading {config.model.name}")
    clip = open_model(config)
    width = clip.vision.neurons
    for neuron in chosen:
        if neuron.layer < clip.vision.layers and neuron.index >= width:
            raise ConfigError(
                f"{clip.name} has no neuron {neuron}; layer {neuron.layer} has the neurons "
                f"{neuron.layer}:0 to {neuron.layer}:{width - 1}"
            )
    directions = neuron_directions(
        config.lens, clip, store, progress, budget=budget, workers=workers
    )
    return Catalogue(config, clip, load_image_set(config.lens.images), directions)


def summarise_layers(catalogue: Catalogue) -> list[LayerSummary]:
    """One row per layer: how many neurons, and how well one direction stands for each.

    Source: paper Sec. 4.1 (one component is enough, few images matter).
    """
    return [
        _summary(layer, catalogue.directions[layer], len(catalogue.images))
        for layer in sorted(catalogue.directions)
    ]


def order_neurons(catalogue: Catalogue, order: str) -> list[tuple[Neuron, float]]:
    """All neurons with the value they are ordered by, largest first.

    Args:
        catalogue: The neurons.
        order: `explained` (share of variance), `threshold` (bound between small and large effects)
            or `norm` (largest centred norm); norms are in the units of the image embedding.

    Raises:
        ValueError: If `order` is none of these.
    """
    if order not in ORDERS:
        raise ValueError(f"expected one of {', '.join(ORDERS)}; got {order!r}")
    return _ordered(catalogue, _joined(catalogue, order))


def order_for_contrast(
    catalogue: Catalogue, contrast: Float[Tensor, " embed"]
) -> list[tuple[Neuron, float]]:
    """All neurons with `<v, r_n>`, largest magnitude first, as the attack chooses them (Sec. 5.1).

    Args:
        catalogue: The neurons.
        contrast: v = M_text(target class) - M_text(true class).
    """
    rows = [catalogue.directions[layer].direction for layer in sorted(catalogue.directions)]
    return _ordered(catalogue, alignments(torch.cat(rows).float(), contrast))


def rows_of(
    catalogue: Catalogue, chosen: Sequence[Neuron], field: str
) -> Float[Tensor, "neuron ..."]:
    """One field of `NeuronDirections` for chosen neurons of any layers, in their order."""
    return torch.stack(
        [getattr(catalogue.directions[neuron.layer], field)[neuron.index] for neuron in chosen]
    ).float()


def _summary(layer: int, directions: NeuronDirections, images: int) -> LayerSummary:
    speaks = directions.direction.norm(dim=1) > 0
    explained = directions.explained_variance[speaks]
    return LayerSummary(
        layer=layer,
        neurons=len(directions),
        silent=int((~speaks).sum()),
        explained_variance=_median(explained),
        mostly_one=(explained > 0.5).double().mean().item() if len(explained) else 0.0,
        norm_threshold=_median(directions.norm_threshold[speaks]),
        significant=directions.top_images.shape[1] / images,
    )


def _median(values: Float[Tensor, " neuron"]) -> float:
    return values.double().quantile(0.5).item() if len(values) else 0.0


def _joined(catalogue: Catalogue, order: str) -> Float[Tensor, " neuron"]:
    layers = [catalogue.directions[layer] for layer in sorted(catalogue.directions)]
    if order == "explained":
        return torch.cat([layer.explained_variance for layer in layers])
    if order == "threshold":
        return torch.cat([layer.norm_threshold for layer in layers])
    return torch.cat([layer.top_norms[:, 0] for layer in layers])


def _ordered(catalogue: Catalogue, values: Float[Tensor, " neuron"]) -> list[tuple[Neuron, float]]:
    neurons = catalogue.neurons
    order: list[int] = strongest(values, len(neurons)).tolist()
    return [(neurons[position], values[position].item()) for position in order]
