"""How few images a neuron speaks for: accuracy against the share of largest effects kept.

    python -m benchmarks.selectivity                    # sandbox, about three minutes

Writes selectivity.json and selectivity.png into benchmarks/results (--out).
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

from advgen.experiment_plots import accuracy_curves, figure_of
from advgen.experiments import paper
from advgen.experiments.output import percent, print_table, provenance, write_result
from advgen.experiments.selectivity import Selectivity, selectivity
from advgen.experiments.subject import Subject
from benchmarks.experiment import experiment_parser, run_experiment

PAPER = (paper.SIGNIFICANT, paper.SPARSE)


def measure(subject: Subject, options: argparse.Namespace) -> None:
    """Measure, print, keep."""
    found = selectivity(subject)
    axes = accuracy_curves(
        [100 * share for share in found.shares],
        {row.name: np.array(row.kept) for row in found.rows},
        baseline=found.baseline,
        xlabel="largest effects kept per neuron (% of the images)",
        graded=True,
    )
    result = {
        **provenance(subject, skipped=found.skipped),
        "accuracy": {
            "not_ablated": found.baseline,
            "images": found.images,
            "shares": found.shares,
            "rows": [dataclasses.asdict(row) for row in found.rows],
        },
        "paper": [dataclasses.asdict(figure) for figure in PAPER],
    }
    write_result(options.out, "selectivity", result, figure_of(axes))
    show(subject, found)


def show(subject: Subject, found: Selectivity) -> None:
    """Print the curves; the last column is the share that is enough."""
    title = (
        f"Accuracy (%) of {subject.clip.name} when each neuron keeps its largest effects only; "
        f"not ablated {percent(found.baseline)} ({found.images} images)"
    )
    header = ["kept", "0 %", *(f"{100 * share:g} %" for share in found.shares), "within a point"]
    rows = [
        [
            row.name,
            percent(row.ablated),
            *map(percent, row.kept),
            f"{100 * row.enough:g} %" if row.enough == row.enough else "never",
        ]
        for row in found.rows
    ]
    print_table(title, header, rows, PAPER)


if __name__ == "__main__":
    run_experiment(experiment_parser(__doc__), measure)
