"""Figs. 3 and 9: accuracy when second-order effects are ablated, layer by layer and together.

    python -m benchmarks.fig3                                 # sandbox, about two minutes
    python -m benchmarks.fig3 --preset paper --layers 8,9,10  # ImageNet below ./imagenet

Writes fig3.json and fig3.png into benchmarks/results (--out).
"""

from __future__ import annotations

import argparse

from advgen.experiment_plots import ablation_bars, figure_of
from advgen.experiments.ablation_report import ablation_result, print_ablation
from advgen.experiments.mean_ablation import mean_ablation
from advgen.experiments.output import write_result
from advgen.experiments.subject import Subject
from benchmarks.experiment import experiment_parser, run_experiment


def fig3(subject: Subject, options: argparse.Namespace) -> None:
    """Measure, print, keep."""
    found = mean_ablation(subject)
    subject.progress.stage("writing")
    write_result(
        options.out, "fig3", ablation_result(subject, found), figure_of(ablation_bars(found))
    )
    print_ablation(subject, found)


if __name__ == "__main__":
    run_experiment(experiment_parser(__doc__), fig3)
