"""The treatments `paper` and `centered` of the layer norm's mean, side by side.

    python -m benchmarks.treatments                     # sandbox, about three minutes

Writes treatments.json and treatments.png into benchmarks/results (--out).
"""

from __future__ import annotations

import argparse
import dataclasses

from advgen.config import TREATMENTS
from advgen.experiment_plots import ablation_bars, figure_of, panels
from advgen.experiments.output import percent, print_lines, print_table, provenance, write_result
from advgen.experiments.subject import Subject
from advgen.experiments.treatments import Treatments, compare_treatments
from advgen.experiments.verdicts import noise
from benchmarks.experiment import experiment_parser, run_experiment


def measure(subject: Subject, options: argparse.Namespace) -> None:
    """Measure, print, keep."""
    found = compare_treatments(subject)
    axes = panels(7.4, 3.8 * len(TREATMENTS), rows=len(TREATMENTS))
    for ax, treatment in zip(axes, TREATMENTS, strict=True):
        ablation_bars(found.ablation[treatment], ax=ax)
        ax.set_xlabel(f"treatment: {treatment}")
    any_one = next(iter(found.ablation.values()))
    result = {
        **provenance(subject, skipped=any_one.skipped),
        "not_ablated": any_one.baseline,
        "images_read": any_one.images,
        "ablation": {
            name: [dataclasses.asdict(row) for row in ablation.rows]
            for name, ablation in found.ablation.items()
        },
        "agreement": [dataclasses.asdict(entry) for entry in found.agreement],
    }
    write_result(options.out, "treatments", result, figure_of(axes[0]))
    show(subject, found)


def show(subject: Subject, found: Treatments) -> None:
    """Print both treatments, `paper / centered` in each cell."""
    pairs = list(zip(*(found.ablation[name].rows for name in TREATMENTS), strict=True))
    cosines = {(entry.layer,): entry for entry in found.agreement}

    def cells(name: str, pair: tuple) -> str:
        return " / ".join(percent(getattr(row, name)) for row in pair)

    rows = []
    for pair in pairs:
        entry = cosines.get(pair[0].layers)
        rows.append(
            [
                pair[0].name,
                cells("ablated", pair),
                cells("without_small", pair),
                cells("first_component", pair),
                cells("explained_variance", pair),
                f"{entry.median:.3f}" if entry else None,
                f"{entry.low:.3f}" if entry else None,
                percent(entry.alike) if entry else None,
            ]
        )
    header = [" / ".join(TREATMENTS), "all ablated", "w/o small norms", "first component"]
    header += ["variance (%)", "median |cos|", "5 % below", "|cos| > 0.95 (%)"]
    any_one = found.ablation[TREATMENTS[0]]
    title = (
        f"Accuracy (%) of {subject.clip.name} under both treatments; "
        f"not ablated {percent(any_one.baseline)} ({any_one.images} images)"
    )
    print_table(title, header, rows)
    margin = 100 * noise(any_one.baseline, any_one.images)
    print_lines([f"differences below {margin:.1f} points are within noise"])


if __name__ == "__main__":
    run_experiment(experiment_parser(__doc__), measure)
