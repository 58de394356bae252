"""How few images a neuron speaks for: accuracy when only its largest effects are kept.

Source: arXiv 2406.04341, Sec. 3.3 (a neuron's effect is significant on about 2 % of the images).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from advgen.experiments.mean_ablation import joined_sums, layer_groups, layers_name
from advgen.experiments.subject import Subject
from advgen.imagesets.batches import Skipped
from advgen.lens import LayerSums, layer_sums

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
CLOSE = 0.01
"""Accuracies that differ by no more than this many count as equal: one point."""


@dataclass(frozen=True, slots=True)
class SelectivityRow:
    """Accuracy by share of largest effects kept, for some layers together.

    Attributes:
        layers: The layers.
        ablated: Accuracy when no effect is kept.
        kept: Accuracy at each share of `Selectivity.shares`.
        enough: Smallest share at and above which accuracy is within a point of the unablated one;
            0 if that is so without any effect, NaN if no share is enough.
    """

    layers: tuple[int, ...]
    ablated: float
    kept: tuple[float, ...]
    enough: float

    @property
    def name(self) -> str:
        """How tables call it."""
        return layers_name(self.layers)


@dataclass(frozen=True, slots=True)
class Selectivity:
    """The curves of all layers.

    Attributes:
        baseline: Accuracy of the unablated embeddings, in [0, 1].
        images: Evaluated images that could be read.
        shares: Shares of images per neuron whose effects are kept, ascending, in (0, 1].
        rows: Single layers in order, then groups.
        skipped: Evaluated images that could not be read.
    """

    baseline: float
    images: int
    shares: tuple[float, ...]
    rows: tuple[SelectivityRow, ...]
    skipped: tuple[Skipped, ...] = field(default=())


def selectivity(subject: Subject, shares: Sequence[float] = SHARES) -> Selectivity:
    """Keep each neuron's largest effects, replace the others by the mean over D.

    Differs from the paper: it shows one share (the 100 largest of its test set); here the share
    varies, and it is taken among the evaluated images.

    Args:
        subject: Model and images.
        shares: Shares of the evaluated images, in (0, 1].

    Raises:
        ValueError: If there is no share or one is not in (0, 1].
        AdvgenError: If images or directions cannot be had.
    """
    wanted = tuple(sorted(set(shares)))
    if not wanted or wanted[0] <= 0 or wanted[-1] > 1:
        raise ValueError(f"expected shares above 0 and up to 1; got {list(shares)}")
    directions = subject.directions
    lens = subject.lens()
    collection = subject.collect(lens)
    effects = collection.effects
    sums: dict[int, LayerSums] = {}
    try:
        subject.progress.stage("keeping the largest effects", len(lens.layers))
        for layer in lens.layers:
            table = effects.tables[layer]
            parts = [share for share in wanted if share < 1]
            sums[layer] = layer_sums(table, lens.basis, layer, directions[layer], shares=parts)
            sums[layer].kept[1.0] = sums[layer].every
            subject.progress.advance()
    finally:
        collection.discard()

    def row(group: tuple[int, ...]) -> SelectivityRow:
        joined = joined_sums([sums[layer] for layer in group])
        bare = effects.representation - joined.every
        kept = tuple(
            subject.accuracy(bare + joined.kept[share], effects.numbers) for share in wanted
        )
        ablated = subject.accuracy(bare, effects.numbers)
        return SelectivityRow(group, ablated, kept, enough((0.0, *wanted), (ablated, *kept), base))

    base = subject.accuracy(effects.representation, effects.numbers)
    groups = [(layer,) for layer in lens.layers] + layer_groups(lens.layers)
    rows = tuple(row(group) for group in groups)
    return Selectivity(base, len(effects.numbers), wanted, rows, collection.skipped)


def enough(shares: Sequence[float], accuracy: Sequence[float], baseline: float) -> float:
    """Smallest share from which on every accuracy is at most `CLOSE` below the unablated one.

    Args:
        shares: Ascending.
        accuracy: At each share.
        baseline: Unablated.

    Returns:
        The share, or NaN if the accuracy at the last one is too low.
    """
    found = float("nan")
    for share, value in zip(reversed(shares), reversed(accuracy), strict=True):
        if baseline - value > CLOSE + 1e-9:
            break
        found = share
    return found
