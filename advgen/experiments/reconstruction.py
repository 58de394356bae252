"""How much of the accuracy comes back when directions are replaced by texts (Fig. 4).

Source: arXiv 2406.04341, Sec. 4.2: ``x_n(I) r_hat_n + b_n`` takes the place of the effect, with
r_hat_n = sum_j gamma_j t_j over m texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from advgen.errors import ConfigError
from advgen.experiments.mean_ablation import ablation_variants
from advgen.experiments.subject import Subject
from advgen.imagesets.batches import Skipped
from advgen.lens import layer_sums, projections
from advgen.text import (
    SparseCodes,
    Summary,
    TextPool,
    load_pool,
)

LENGTHS = (4, 8, 16, 32, 64, 128)
"""Texts per neuron (m) of the paper's figure."""
SCORED = (32, 128)
"""Texts per neuron whose faithfulness is scored."""
RANDOM = "random words"
_PART = re.compile(r"(?P<pool>.+)@(?P<count>[1-9]\d*)")
_KINDS = ("pearson", "cosine", "auprc", "f1")


@dataclass(frozen=True, slots=True)
class RebuiltRow:
    """Accuracies of one layer's reconstructions, in [0, 1].

    Attributes:
        layer: The layer.
        ablated: Every effect replaced by its mean.
        first_component: Every effect replaced by its projection on the neuron's direction.
        pools: Pool, or `RANDOM` -> accuracy at each of `Reconstruction.lengths`.
        cosine: The same keys -> mean cosine of r_n and r_hat_n over neurons with a direction.
    """

    layer: int
    ablated: float
    first_component: float
    pools: dict[str, tuple[float, ...]]
    cosine: dict[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class FaithfulnessRow:
    """Scores of one layer's descriptions on the evaluated images.

    Attributes:
        layer: The layer.
        pool: The pool.
        nonzeros: Texts per neuron.
        neurons: Neurons scored.
        scores: `descriptions` or a control -> score -> mean and median over neurons.
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
        rows: One per layer.
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


def open_pool(spec: str, seed: int) -> TextPool:
    """A pool by name, or a part of one.

    Args:
        spec: As for `advgen.text.load_pool`; `POOL@N` takes N of its texts by chance.
        seed: Of that choice.

    Raises:
        ConfigError: If there is no such pool or it has fewer texts.
        DataError: If a file cannot be read.
    """
    part = _PART.fullmatch(spec)
    if part is None:
        return load_pool(spec)
    whole, count = load_pool(part["pool"]), int(part["count"])
    if count > len(whole.texts):
        raise ConfigError(f"the pool '{part['pool']}' has {len(whole.texts)} texts, not {count}")
    order = torch.randperm(len(whole.texts), generator=torch.Generator().manual_seed(seed))
    kept = sorted(order[:count].tolist())
    return TextPool(spec, tuple(whole.texts[number] for number in kept), whole.notes)


def reconstruction(
    subject: Subject,
    pools: Sequence[str],
    *,
    lengths: Sequence[int] = LENGTHS,
    scored: Sequence[int] = SCORED,
    neurons: int | None = None,
) -> Reconstruction:
    """Write every direction as m texts, rebuild the effects from them, classify again.

    Differs from the paper: the random words are ours, a control with the same number of texts of
    the first pool, drawn by chance for each neuron and fitted to r_n by least squares.

    Args:
        subject: Model and images.
        pools: Names for `open_pool`.
        lengths: Texts per neuron; those beyond what a pool or the space allows are left out.
        scored: Those of them whose faithfulness is scored.
        neurons: Score only so many neurons per layer, drawn by chance; all if None.

    Raises:
        ValueError: If there is no pool or no length.
        AdvgenError: If pools, images or directions cannot be had.
    """
    if not pools or not lengths or min(lengths) < 1:
        raise ValueError(f"expected pools and lengths >= 1; got {list(pools)}, {list(lengths)}")
    encoded = {spec: _encode(subject, spec) for spec in dict.fromkeys(pools)}
    limit = min(min(pool.embeddings.shape) for pool in encoded.values())
    used = tuple(sorted({length for length in lengths if length <= limit} or {limit}))
    directions = subject.directions
    lens = subject.lens()
    collection = subject.collect(lens)
    effects = collection.effects
    rows: list[RebuiltRow] = []
    faithful: list[FaithfulnessRow] = []
    try:
        for layer in lens.layers:
            subject.progress.stage(f"texts of layer {layer}")
            found = _describe(subject, directions[layer], encoded, used, layer)
            sums = layer_sums(
                effects.tables[layer],
                lens.basis,
                layer,
                directions[layer],
                vectors={_key(*key): vectors for key, vectors in found.vectors.items()},
            )
            variants = ablation_variants(effects.representation, sums)
            rebuilt = {
                key: subject.accuracy(
                    variants["ablated"] + sums.rebuilt[_key(*key)], effects.numbers
                )
                for key in found.vectors
            }
            rows.append(
                RebuiltRow(
                    layer,
                    subject.accuracy(variants["ablated"], effects.numbers),
                    subject.accuracy(variants["first_component"], effects.numbers),
                    {name: _along(rebuilt, name, used) for name in (*encoded, RANDOM)},
                    {name: _along(found.cosine, name, used) for name in (*encoded, RANDOM)},
                )
            )
            coordinates = projections(
                effects.tables[layer], lens.basis, layer, directions[layer]
            ).float()
            chosen = _some(directions[layer], neurons, subject.config.seed + layer)
            for (name, length), codes in found.codes.items():
                if length in scored:
                    scores = _faithfulness(
                        coordinates[:, chosen],
                        effects.representation,
                        SparseCodes(codes.indices[chosen], codes.values[chosen]),
                        found.atoms[name],
                        subject.config.seed,
                    )
                    faithful.append(FaithfulnessRow(layer, name, length, len(chosen), scores))
    finally:
        collection.discard()
    baseline = subject.accuracy(effects.representation, effects.numbers)
    texts = {name: len(pool.pool.texts) for name, pool in encoded.items()}
    return Reconstruction(
        baseline,
        len(effects.numbers),
        used,
        texts,
        tuple(rows),
        tuple(faithful),
        collection.skipped,
    )
