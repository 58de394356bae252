"""How much of the accuracy comes back when directions are replaced by texts (Fig. 4).

Source: arXiv 2406.04341, Sec. 4.2: ``x_n(I) r_hat_n + b_n`` takes the place of the effect, with
r_hat_n = sum_j gamma_j t_j over m texts. Beside it, how well the texts predict the neurons on the
evaluated images (`advgen.text.faithfulness`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.experiments.descriptions import (
    RANDOM,
    Descriptions,
    Key,
    describe_layer,
    encode_pools,
    mean_cosine,
    usable_lengths,
)
from advgen.experiments.mean_ablation import (
    ablation_variants,
    joined_sums,
    layer_groups,
    layers_name,
)
from advgen.experiments.subject import Subject
from advgen.imagesets.batches import Skipped
from advgen.lens import CollectedEffects, LayerSums, NeuronDirections, layer_sums, projections
from advgen.text import (
    Atoms,
    EncodedPool,
    SparseCodes,
    Summary,
    control_predictions,
    predict,
    score_predictions,
)

LENGTHS = (4, 8, 16, 32, 64, 128)
"""Texts per neuron (m) of the paper's figure."""
SCORED = (32, 128)
"""Texts per neuron whose faithfulness is scored."""
DESCRIPTIONS = "descriptions"


@dataclass(frozen=True, slots=True)
class RebuiltRow:
    """Accuracies when the effects of some layers are rebuilt together, in [0, 1].

    Attributes:
        layers: The layers.
        ablated: Every effect replaced by its mean.
        first_component: Every effect replaced by its projection on the neuron's direction.
        pools: Pool, or `RANDOM` -> accuracy at each of `Reconstruction.lengths`.
        cosine: The same keys -> mean cosine of r_n and r_hat_n over neurons with a direction.
    """

    layers: tuple[int, ...]
    ablated: float
    first_component: float
    pools: dict[str, tuple[float, ...]]
    cosine: dict[str, tuple[float, ...]]

    @property
    def name(self) -> str:
        """How tables call it."""
        return layers_name(self.layers)


@dataclass(frozen=True, slots=True)
class FaithfulnessRow:
    """Scores of one layer's descriptions on the evaluated images.

    Attributes:
        layer: The layer.
        pool: The pool.
        nonzeros: Texts per neuron.
        neurons: Neurons scored.
        scores: `DESCRIPTIONS` or a control -> score -> mean and median over neurons.
    """

    layer: int
    pool: str
    nonzeros: int
    neurons: int
    scores: dict[str, dict[str, Summary]]


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Fig. 4 with the faithfulness of the texts.

    Attributes:
        baseline: Accuracy of the unablated embeddings, in [0, 1].
        images: Evaluated images that could be read.
        lengths: Texts per neuron, ascending.
        texts: Pool -> how many texts it offers.
        rows: Single layers in order, then groups.
        faithfulness: One per layer, pool and scored length.
        skipped: Evaluated images that could not be read.
    """

    baseline: float
    images: int
    lengths: tuple[int, ...]
    texts: dict[str, int]
    rows: tuple[RebuiltRow, ...]
    faithfulness: tuple[FaithfulnessRow, ...]
    skipped: tuple[Skipped, ...]


def reconstruction(
    subject: Subject,
    pools: Sequence[str],
    *,
    lengths: Sequence[int] = LENGTHS,
    scored: Sequence[int] = SCORED,
    neurons: int | None = None,
) -> Reconstruction:
    """Write every direction as m texts, rebuild the effects from them, classify again.

    Args:
        subject: Model and images.
        pools: Names for `open_pool`; random words are drawn from the first.
        lengths: Texts per neuron; those beyond what a pool or the space allows are left out.
        scored: Those of them whose faithfulness is scored.
        neurons: Score only so many neurons per layer, drawn by chance; all if None.

    Raises:
        ValueError: If there is no pool or no length.
        AdvgenError: If pools, images or directions cannot be had.
    """
    if not pools or not lengths or min(lengths) < 1:
        raise ValueError(f"expected pools and lengths >= 1; got {list(pools)}, {list(lengths)}")
    encoded = encode_pools(subject, pools)
    used = usable_lengths(lengths, encoded)
    directions = subject.directions
    lens = subject.lens()
    collection = subject.collect(lens)
    work = _Work(subject, collection.effects, directions, encoded, used)
    sums, cosines, faithful = {}, {}, []
    try:
        for layer in lens.layers:
            subject.progress.stage(f"layer {layer} from texts")
            found = describe_layer(
                subject, directions[layer], encoded, used, subject.config.seed + layer
            )
            table = collection.effects.tables[layer]
            names = {_label(key): vectors for key, vectors in found.vectors.items()}
            sums[layer] = layer_sums(table, lens.basis, layer, directions[layer], vectors=names)
            cosines[layer] = {
                key: mean_cosine(directions[layer], rows) for key, rows in found.vectors.items()
            }
            coordinates = projections(table, lens.basis, layer, directions[layer]).float()
            faithful += work.faithfulness(layer, found, coordinates, scored, neurons)
    finally:
        collection.discard()
    groups = [(layer,) for layer in lens.layers] + layer_groups(lens.layers)
    return Reconstruction(
        baseline=work.accuracy(collection.effects.representation),
        images=len(collection.effects.numbers),
        lengths=used,
        texts={name: len(pool.pool.texts) for name, pool in encoded.items()},
        rows=tuple(work.row(group, sums, cosines) for group in groups),
        faithfulness=tuple(faithful),
        skipped=collection.skipped,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What the parts of a reconstruction share."""

    subject: Subject
    effects: CollectedEffects
    directions: Mapping[int, NeuronDirections]
    encoded: Mapping[str, EncodedPool]
    lengths: tuple[int, ...]

    def accuracy(self, representation: Float[Tensor, "image embed"]) -> float:
        return self.subject.accuracy(representation, self.effects.numbers)

    def row(
        self,
        group: tuple[int, ...],
        sums: Mapping[int, LayerSums],
        cosines: Mapping[int, Mapping[Key, float]],
    ) -> RebuiltRow:
        joined = joined_sums([sums[layer] for layer in group])
        variants = ablation_variants(self.effects.representation, joined)
        pools, cosine = {}, {}
        for name in (*self.encoded, RANDOM):
            keys = [(name, length) for length in self.lengths]
            pools[name] = tuple(
                self.accuracy(variants["ablated"] + joined.rebuilt[_label(key)]) for key in keys
            )
            cosine[name] = tuple(
                sum(cosines[layer][key] for layer in group) / len(group) for key in keys
            )
        return RebuiltRow(
            group,
            self.accuracy(variants["ablated"]),
            self.accuracy(variants["first_component"]),
            pools,
            cosine,
        )

    def faithfulness(
        self,
        layer: int,
        found: Descriptions,
        coordinates: Float[Tensor, "image neuron"],
        scored: Sequence[int],
        neurons: int | None,
    ) -> list[FaithfulnessRow]:
        seed = self.subject.config.seed
        chosen = _some(self.directions[layer], neurons, seed + layer)
        if len(chosen) < 2 or len(coordinates) < 2:
            return []
        rows = []
        for (pool, length), codes in found.codes.items():
            if length not in scored:
                continue
            part = SparseCodes(codes.indices[chosen], codes.values[chosen])
            scores = description_scores(
                coordinates[:, chosen],
                self.effects.representation.float(),
                part,
                found.atoms[pool],
                seed,
            )
            rows.append(FaithfulnessRow(layer, pool, length, len(chosen), scores))
        return rows


def description_scores(
    coordinates: Float[Tensor, "image neuron"],
    embeddings: Float[Tensor, "image embed"],
    codes: SparseCodes,
    atoms: Atoms,
    seed: int,
) -> dict[str, dict[str, Summary]]:
    """Scores of descriptions and of the controls that ought to fail.

    Args:
        coordinates: x_n(I).
        embeddings: M(I) of the same images.
        codes: Of the same neurons.
        atoms: What the codes are over.
        seed: Of the controls.

    Returns:
        `DESCRIPTIONS` or a control -> score -> mean and median over neurons.
    """
    codes = SparseCodes(codes.indices.cpu(), codes.values.cpu())
    atoms = Atoms(atoms.rows.cpu(), atoms.treatment, atoms.stretch.cpu())
    predictions = {
        DESCRIPTIONS: predict(embeddings, atoms.reconstruct(codes)),
        **control_predictions(embeddings, codes, atoms, seed=seed),
    }
    return {
        name: score_predictions(coordinates, prediction).summary()
        for name, prediction in predictions.items()
    }


def _some(directions: NeuronDirections, neurons: int | None, seed: int) -> Int[Tensor, " neuron"]:
    """Numbers of neurons with a direction, so many of them by chance, ascending."""
    speaking = (directions.direction.norm(dim=1) > 0).nonzero()[:, 0]
    if neurons is None or len(speaking) <= neurons:
        return speaking
    order = torch.randperm(len(speaking), generator=torch.Generator().manual_seed(seed))
    return speaking[order[:neurons]].sort().values


def _label(key: Key) -> str:
    return f"{key[0]} {key[1]}"
