"""Table 1: second-order effects of neurons beside their indirect effects, layer by layer.

    python -m benchmarks.table1                  # the sandbox: results/table1.json and .png
    python -m benchmarks.table1 --neurons 32 --indirect-images 200
    python -m benchmarks.table1 --preset paper --layers 9 --images imagenet:PATH ...

Indirect effects cost a partial forward pass per neuron and image, so their first component is taken
of some neurons and images only, drawn with the seed; the second-order one beside it is of the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import get_args

import numpy as np
from matplotlib.figure import Figure

from advgen.experiment_plots import grouped_accuracy, score_bars
from advgen.experiments import Subject
from advgen.experiments.indirect import (
    DEFAULT_IMAGES,
    DEFAULT_NEURONS,
    EffectComparison,
    compare_effects,
)
from advgen.experiments.output import percent, print_lines, print_table, provenance, write_result
from advgen.experiments.paired import Paired, Verdict
from advgen.experiments.paper import (
    INDIRECT_LEFT,
    INDIRECT_PC1,
    SECOND_ORDER_LEFT,
    SECOND_ORDER_PC1,
)
from benchmarks.experiment import experiment_parser, run_experiment

PAPER = (SECOND_ORDER_LEFT, INDIRECT_LEFT, SECOND_ORDER_PC1, INDIRECT_PC1)


def print_found(subject: Subject, found: EffectComparison, neurons: int) -> None:
    """Both halves of the table, with a verdict per layer."""
    name, images = subject.clip.name, subject.summarised.images.name
    print_table(
        f"Accuracy left (%): {name}, {found.evaluated} images, not ablated "
        f"{percent(found.unablated)}",
        ["layer", "second-order", "indirect", "second-order costs more by", "as in the paper"],
        [
            [
                str(row.layer),
                percent(row.second_order),
                percent(row.indirect),
                _points(row.loss),
                row.loss.verdict,
            ]
            for row in found.layers
        ],
        PAPER[:2],
    )
    print_table(
        "Variance along the first component (%), mean over neurons",
        ["layer", "second-order, all", "second-order", "indirect", "more by", "as in the paper"],
        [
            [
                str(row.layer),
                percent(row.explained.mean),
                percent(row.explained_chosen.mean),
                percent(row.explained_indirect.mean),
                _points(row.gain),
                row.gain.verdict,
            ]
            for row in found.layers
        ],
        PAPER[2:],
    )
    print_lines(
        [
            f"second-order, all: every neuron over {images}; the rest: {neurons} neurons of each "
            f"layer over {found.compared} of these images, {found.top_images} of largest effect"
        ]
    )


def findings(found: EffectComparison) -> list[str]:
    """In which layers the paper's two claims hold."""
    claims = {
        "mean-ablating second-order effects costs more than ablating the neurons": {
            row.layer: row.loss.verdict for row in found.layers
        },
        "second-order effects are nearer to one dimension than indirect effects": {
            row.layer: row.gain.verdict for row in found.layers
        },
    }
    return [f"{claim} (95 %): {_by_verdict(verdicts)}" for claim, verdicts in claims.items()]


def figure(found: EffectComparison) -> Figure:
    """Accuracy left, and variance along the first component."""
    drawn = Figure(figsize=(9.6, 3.8), layout="constrained")
    left, right = drawn.subplots(1, 2)
    groups = [str(row.layer) for row in found.layers]
    grouped_accuracy(
        {
            "second-order": np.array([row.second_order for row in found.layers]),
            "indirect": np.array([row.indirect for row in found.layers]),
        },
        groups=groups,
        baseline=found.unablated,
        ax=left,
    )
    score_bars(
        {
            "second-order": np.array([row.explained_chosen.mean for row in found.layers]),
            "indirect": np.array([row.explained_indirect.mean for row in found.layers]),
        },
        groups=groups,
        ylabel="variance along the first component",
        ax=right,
    )
    for axes in (left, right):
        axes.set_xlabel("MLP layer ablated" if axes is left else "MLP layer")
    return drawn


def measure(subject: Subject, options: argparse.Namespace) -> None:
    """Measure, print and keep."""
    found = compare_effects(subject, neurons=options.neurons, images=options.indirect_images)
    print_found(subject, found, options.neurons)
    lines = findings(found)
    print_lines(lines)
    result = {
        **provenance(subject, skipped=found.skipped),
        "neurons": options.neurons,
        "indirect_images": options.indirect_images,
        "comparison": found,
        "verdicts": {
            str(row.layer): {"ablation": row.loss.verdict, "first_component": row.gain.verdict}
            for row in found.layers
        },
        "findings": lines,
        "paper": list(PAPER),
    }
    write_result(options.out, "table1", result, figure(found))


def _by_verdict(verdicts: Mapping[int, str]) -> str:
    parts = []
    for verdict in get_args(Verdict):
        layers = [str(layer) for layer, said in verdicts.items() if said == verdict]
        if layers:
            parts.append(f"{verdict} in layer{'s' * (len(layers) > 1)} {', '.join(layers)}")
    return "; ".join(parts)


def _points(change: Paired) -> str:
    return f"{100 * change.difference:+.1f} ± {100 * change.half_width:.1f}"


if __name__ == "__main__":
    parser = experiment_parser(__doc__)
    parser.add_argument("--neurons", type=int, default=DEFAULT_NEURONS, help="neurons per layer")
    parser.add_argument(
        "--indirect-images", type=int, default=DEFAULT_IMAGES, help="images of indirect effects"
    )
    run_experiment(parser, measure)
