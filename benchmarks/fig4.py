"""Fig. 4: accuracy when each direction is replaced by m texts, and how faithful the texts are.

    python -m benchmarks.fig4                                 # sandbox, about three minutes
    python -m benchmarks.fig4 --preset paper --layers 9 --pool words-10k --pool words-30k

A pool may be cut to N texts drawn by chance: --pool words-30k@10000. Writes fig4.json, fig4.png and
faithfulness.png into benchmarks/results (--out).
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

from advgen.experiment_plots import accuracy_curves, figure_of, panels, score_bars
from advgen.experiments import paper
from advgen.experiments.descriptions import RANDOM
from advgen.experiments.output import (
    percent,
    print_lines,
    print_table,
    provenance,
    write_figure,
    write_result,
)
from advgen.experiments.reconstruction import FaithfulnessRow, Reconstruction, reconstruction
from advgen.experiments.subject import Subject
from advgen.experiments.verdicts import text_verdict
from benchmarks.experiment import experiment_parser, run_experiment

POOLS = {"sandbox": ("sandbox", "sandbox@400"), "paper": ("words-10k", "words-30k")}
SCORES = ("pearson", "cosine", "auprc", "f1")


def measure(subject: Subject, options: argparse.Namespace) -> None:
    """Measure, print, keep."""
    pools = options.pool or POOLS[options.preset]
    found = reconstruction(subject, pools, neurons=options.neurons)
    result = {
        **provenance(subject, skipped=found.skipped),
        "pools": found.texts,
        "accuracy": {
            "not_ablated": found.baseline,
            "images": found.images,
            "lengths": found.lengths,
            "rows": [dataclasses.asdict(row) for row in found.rows],
        },
        "faithfulness": [dataclasses.asdict(row) for row in found.faithfulness],
        "verdict": dataclasses.asdict(text_verdict(found)),
        "paper": [dataclasses.asdict(paper.TEXT)],
    }
    write_result(options.out, "fig4", result, figure_of(curves(found)))
    write_figure(options.out / "faithfulness.png", figure_of(bars(found)))
    show(subject, found)


def curves(found: Reconstruction):
    """One panel per pool: every layer from ablated over m texts to the first component."""
    names = (*found.texts, RANDOM)
    places = [found.lengths[0] / 2, *found.lengths, 2 * found.lengths[-1]]
    ticks = ["none", *map(str, found.lengths), "PC1"]
    axes = panels(4.8 * len(names), 4.2, columns=len(names))
    for ax, name in zip(axes, names, strict=True):
        accuracy_curves(
            places,
            {
                row.name: np.array([row.ablated, *row.pools[name], row.first_component])
                for row in found.rows
            },
            baseline=found.baseline,
            xlabel=f"texts per neuron (m), {name}",
            ticks=ticks,
            graded=True,
            ax=ax,
        )
        ax.set_ylim(0.0, 100.0)
    return axes[0]


def bars(found: Reconstruction):
    """One panel per scored length of the first pool: correlation by layer, with the controls."""
    pool = next(iter(found.texts))
    rows = [row for row in found.faithfulness if row.pool == pool]
    lengths = sorted({row.nonzeros for row in rows})
    axes = panels(5.2 * max(1, len(lengths)), 3.6, columns=max(1, len(lengths)))
    for ax, length in zip(axes, lengths, strict=False):
        some = [row for row in rows if row.nonzeros == length]
        score_bars(
            {
                kind: np.array([row.scores[kind]["pearson"].mean for row in some])
                for kind in some[0].scores
            },
            groups=[f"layer {row.layer}" for row in some],
            ylabel=f"mean Pearson correlation, m = {length}",
            ax=ax,
        )
    return axes[0]


def show(subject: Subject, found: Reconstruction) -> None:
    """Print both tables and the verdict."""
    names = (*found.texts, RANDOM)
    header = ["texts per neuron", "pool", "none", *map(str, found.lengths), "PC1", "cosine"]
    rows = [
        [
            row.name,
            name,
            percent(row.ablated),
            *map(percent, row.pools[name]),
            percent(row.first_component),
            f"{row.cosine[name][-1]:.3f}",
        ]
        for row in found.rows
        for name in names
    ]
    pools = ", ".join(f"{name} {count}" for name, count in found.texts.items())
    title = (
        f"Accuracy (%) of {subject.clip.name} with directions rebuilt from texts; not ablated "
        f"{percent(found.baseline)} ({found.images} images); texts: {pools}"
    )
    print_table(title, header, rows, [paper.TEXT])
    print_lines([text_verdict(found).line()])
    print_table(
        "Faithfulness: mean over neurons, description | shuffled neurons | random words",
        ["layer", "pool", "m", "neurons", *SCORES],
        [
            [
                f"layer {row.layer}",
                row.pool,
                row.nonzeros,
                row.neurons,
                *map(_three, [row] * 4, SCORES),
            ]
            for row in found.faithfulness
        ],
    )


def _three(row: FaithfulnessRow, score: str) -> str:
    return "|".join(f"{kind[score].mean:.2f}" for kind in row.scores.values())


if __name__ == "__main__":
    parser = experiment_parser(__doc__)
    parser.add_argument(
        "--neurons", type=int, default=64, help="neurons per layer whose texts are scored (64)"
    )
    run_experiment(parser, measure)
