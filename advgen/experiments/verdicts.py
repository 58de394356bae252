"""Whether what was measured has the shape that the paper describes, with the rule applied.

A verdict is about the model and the images at hand. Two accuracies are "within noise" when they
differ by less than half the width of the 95 % Wilson interval of the unablated one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advgen.experiments.descriptions import RANDOM
from advgen.experiments.mean_ablation import MeanAblation
from advgen.experiments.reconstruction import Reconstruction
from advgen.scoring import wilson_interval


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim of the paper against the numbers.

    Attributes:
        claim: Key of the claim (`advgen.experiments.paper`).
        holds: Whether it holds here; None where the numbers cannot tell.
        text: The numbers behind it.
    """

    claim: str
    holds: bool | None
    text: str

    def line(self) -> str:
        """The verdict as one line of text."""
        answer = {True: "as in the paper", False: "not as in the paper", None: "cannot tell"}
        return f"{self.claim}: {answer[self.holds]}; {self.text}"


def noise(accuracy: float, images: int) -> float:
    """Half the width of the 95 % Wilson interval of an accuracy, in [0, 1]."""
    low, high = wilson_interval(round(accuracy * images), images)
    return (high - low) / 2


def ablation_verdicts(result: MeanAblation, depth: int) -> tuple[Verdict, ...]:
    """The claims of Figs. 3 and 9: late layers, few images, one direction per neuron.

    Args:
        result: What was measured.
        depth: Layers of the tower that have a later attention layer.
    """
    margin = noise(result.baseline, result.images)
    worst = min(result.layers, key=lambda row: row.ablated)
    if result.baseline - worst.ablated <= margin:
        text = f"no single layer's ablation costs more than noise ({100 * margin:.1f} points)"
        return tuple(Verdict(claim, None, text) for claim in ("late layers", "sparse", "rank one"))
    return (
        _late(result, worst.layers[0], worst.ablated, depth),
        _sparse(result, margin),
        _rank_one(result, margin),
    )


def text_verdict(found: Reconstruction) -> Verdict:
    """The claim of Fig. 4: with the most texts, single layers come close to the unablated accuracy.

    Args:
        found: What was measured; the first pool counts.
    """
    margin = noise(found.baseline, found.images)
    pool = next(iter(found.texts))
    single = [row for row in found.rows if len(row.layers) == 1]
    worst = min(single, key=lambda row: row.ablated)
    if found.baseline - worst.ablated <= margin:
        text = f"no single layer's ablation costs more than noise ({100 * margin:.1f} points)"
        return Verdict("texts", None, text)
    rebuilt = worst.pools[pool][-1]

    def back(name: str, place: int) -> str:
        share = recovered(found.baseline, worst.ablated, worst.pools[name][place])
        return f"{100 * share:.0f} %"

    text = (
        f"{worst.name} with m = {found.lengths[-1]} texts of {pool}: "
        f"{points([rebuilt - found.baseline])} points (noise {100 * margin:.1f}), "
        f"{back(pool, -1)} of the drop is back, with as many random words {back(RANDOM, -1)}; with "
        f"m = {found.lengths[0]}: {back(pool, 0)}, random words {back(RANDOM, 0)}"
    )
    return Verdict("texts", found.baseline - rebuilt <= margin, text)


def recovered(baseline: float, ablated: float, kept: float) -> float:
    """Share of what an ablation costs that a variant brings back; NaN if it costs nothing."""
    lost = baseline - ablated
    return (kept - ablated) / lost if lost > 0 else float("nan")


def points(values: Sequence[float]) -> str:
    """Differences of accuracies as `+1.2, -0.3` points."""
    return ", ".join(f"{100 * value:+.1f}" for value in values)


def _late(result: MeanAblation, layer: int, ablated: float, depth: int) -> Verdict:
    measured = ", ".join(str(row.layers[0]) for row in result.layers)
    half = "later" if 2 * layer + 1 >= depth else "earlier"
    cost = points([ablated - result.baseline])
    text = (
        f"the largest drop is in layer {layer} of {measured} ({cost} points), the {half} half of "
        f"the {depth} layers"
    )
    holds = half == "later" if len(result.layers) > 1 else None
    return Verdict("late layers", holds, text)


def _sparse(result: MeanAblation, margin: float) -> Verdict:
    worst = min(result.layers, key=lambda row: row.ablated)
    back = recovered(result.baseline, worst.ablated, worst.without_small)
    gap = worst.without_small - result.baseline
    text = (
        f"in {worst.name} the {100 * worst.share_large:.1f} % large effects alone bring back "
        f"{100 * back:.0f} % of the drop and leave {points([gap])} points "
        f"(noise {100 * margin:.1f})"
    )
    return Verdict("sparse", -gap <= margin, text)


def _rank_one(result: MeanAblation, margin: float) -> Verdict:
    gaps = {row.name: row.first_component - result.baseline for row in result.rows}
    near = sum(-gap <= margin for gap in gaps.values())
    name = min(gaps, key=lambda key: gaps[key])
    text = (
        f"reconstruction from one direction per neuron is within noise ({100 * margin:.1f} points) "
        f"for {near} of {len(gaps)} (layers and groups); the worst is {name} with "
        f"{points([gaps[name]])} points"
    )
    return Verdict("rank one", near == len(gaps), text)
