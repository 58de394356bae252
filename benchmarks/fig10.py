"""Figs. 10 and 11: accuracy when direct effects of attention layers are mean-ablated.

    python -m benchmarks.fig10                   # the sandbox: results/fig10.json and .png
    python -m benchmarks.fig10 --preset paper --images imagenet:PATH --lens-images imagenet:PATH

Every attention layer is looked at; options of neurons and texts have no effect here.
"""

from __future__ import annotations

import argparse

import numpy as np
from matplotlib.figure import Figure

from advgen.experiment_plots import layer_curves
from advgen.experiments import Subject
from advgen.experiments.attention import TOLERANCE, AttentionAblation, ablate_attention
from advgen.experiments.output import percent, print_lines, print_table, provenance, write_result
from advgen.experiments.paper import PaperFigure
from benchmarks.experiment import experiment_parser, run_experiment

LAST_LAYERS = PaperFigure(
    "last_attention_layers",
    "ViT-B-32: only the direct effects of the last 4 of 12 attention layers matter for accuracy",
    None,
    "Figs. 10/11 (after arXiv 2310.05916)",
)


def table(found: AttentionAblation) -> list[list[str]]:
    """A row per layer."""
    return [
        [
            str(layer),
            percent(found.single[layer]),
            f"{0.0 - 100 * cost.difference:+.1f} ± {100 * cost.half_width:.1f}",
            percent(found.first[layer]),
            percent(found.last[layer]),
        ]
        for layer, cost in enumerate(found.cost)
    ]


def findings(found: AttentionAblation, classes: int) -> list[str]:
    """What the numbers say about the paper's claim."""
    needed = found.needed()
    costly = [str(layer) for layer, cost in enumerate(found.cost) if cost.verdict == "yes"]
    held = "holds" if needed <= found.layers // 2 else "does not hold"
    if not needed:
        held = "cannot be seen, as no direct effect of attention matters"
    return [
        f"not ablated: {percent(found.unablated)} %; every attention layer's direct effect "
        f"ablated: {percent(found.all_ablated)} % (chance: {percent(1 / classes)} %)",
        f"the last {needed} of {found.layers} attention layers are enough to stay within "
        f"{100 * TOLERANCE:.0f} point of the unablated accuracy",
        f"alone, ablation costs accuracy beyond its 95 % interval in layers: "
        f"{', '.join(costly) or 'none'}",
        f"claim that only the last layers (at most half) matter: {held}",
    ]


def figure(found: AttentionAblation) -> Figure:
    """The curves."""
    series = {
        "layers 0 to l ablated": np.array(found.first),
        "layers l to last ablated": np.array(found.last),
        "layer l alone ablated": np.array(found.single),
    }
    drawn = Figure(figsize=(6.0, 3.8), layout="constrained")
    layer_curves(series, baseline=found.unablated, xlabel="attention layer l", ax=drawn.subplots())
    return drawn


def measure(subject: Subject, options: argparse.Namespace) -> None:
    """Measure, print and keep."""
    found = ablate_attention(subject)
    print_table(
        f"Accuracy left (%): {subject.clip.name}, {found.evaluated} images",
        ["layer l", "l alone", "change, 95 %", "0 to l", "l to last"],
        table(found),
        [LAST_LAYERS],
    )
    lines = findings(found, len(subject.classifier))
    print_lines(lines)
    result = {
        **provenance(subject, skipped=found.skipped),
        "attention": found,
        "needed": found.needed(),
        "tolerance": TOLERANCE,
        "findings": lines,
        "paper": [LAST_LAYERS],
    }
    write_result(options.out, "fig10", result, figure(found))


if __name__ == "__main__":
    run_experiment(experiment_parser(__doc__), measure)
