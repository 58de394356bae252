"""Concept discovery (Sec. 5.2): precision@k of the words found for drawn scenes, and baselines.

    python -m benchmarks.concepts            # 600 scenes of seed 5: results/concepts.*
    python -m benchmarks.concepts --tune     # every option on scenes of seed 11: a table, no files

What the sandbox drew is the truth (`benchmarks.concept_truth`). The options of the tuned row were
chosen by `--tune`, on other scenes than those that are scored.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError
from advgen.experiment_plots import SERIES_COLORS, figure_of, panels
from advgen.experiments.output import percent, print_lines, print_table, provenance, write_result
from advgen.experiments.paired import paired
from advgen.experiments.subject import Subject
from advgen.sandbox.images import SandboxImages
from benchmarks.concept_methods import (
    DEEPEST,
    DEPTHS,
    SEEN_OF_D,
    Found,
    Material,
    gather,
    methods,
)
from benchmarks.concept_truth import LEVELS, UNMARKED
from benchmarks.concept_tuning import tuning
from benchmarks.experiment import experiment_parser, run_experiment

SCORED = "sandbox:600?seed=5"
TUNING = "sandbox:600?seed=11"
OURS, PAPER, EVERY = (
    "second-order, tuned",
    "second-order, paper",
    "second-order, all neurons, spread",
)
OWN = (OURS, PAPER, EVERY)


def measure(subject: Subject, options: argparse.Namespace) -> None:
    """Measure, print, keep."""
    images = subject.evaluated.images
    if not isinstance(images, SandboxImages):
        raise ConfigError(
            f"{images.name}: only the sandbox says what it drew; give --images sandbox:600?seed=5 "
            "(the number stands in the spec, not in --limit)"
        )
    material = gather(subject, images)
    if options.tune:
        show(subject, material, {name: make() for name, make in tuning(material)})
        return
    found = {name: make() for name, make in methods(material)}
    lines = [*show(subject, material, found), *differences(material, found)]
    print_lines(lines)
    result: dict[str, Any] = {
        **provenance(subject),
        "levels": LEVELS,
        "not_counted": list(UNMARKED),
        "pool": {"name": subject.config.pool, "words": len(material.texts)},
        "seen_of_D": SEEN_OF_D,
        "right_words_per_image": {
            level: float(right.double().sum(dim=1).mean())
            for level, right in material.right.items()
        },
        "methods": {name: rows(material, entry) for name, entry in found.items()},
        "differences": compared(material, found),
        "findings": lines,
    }
    write_result(options.out, "concepts", result, figure_of(curves(material, found)))


def rows(material: Material, found: Found) -> dict[str, Any]:
    """Precision by level and k with the half width of its 95 % interval, and recall of things."""
    precision = {
        level: {str(k): _mean(found.precision(material, level, k)) for k in DEPTHS}
        for level in LEVELS
    }
    recall = found.recall(material, 10)
    return {
        "settings": found.settings,
        "precision": precision,
        "thing_recall_at_10": None if recall is None else _mean(recall),
    }


def compared(material: Material, found: Mapping[str, Found]) -> dict[str, Any]:
    """Every second-order row minus every other row, image by image."""
    return {
        f"{ours} minus {name}": {
            level: {
                str(k): dataclasses.asdict(
                    paired(
                        found[ours].precision(material, level, k),
                        other.precision(material, level, k),
                    )
                )
                for k in DEPTHS
            }
            for level in LEVELS
        }
        for ours in OWN
        for name, other in found.items()
        if name != ours
    }


def differences(material: Material, found: Mapping[str, Found]) -> list[str]:
    """One sentence per baseline and level: which is above, at k = 10."""
    lines = []
    for ours in OWN:
        for name, other in found.items():
            if name in OWN[: OWN.index(ours) + 1]:
                continue
            parts = []
            for level in LEVELS:
                pair = paired(
                    found[ours].precision(material, level, 10),
                    other.precision(material, level, 10),
                )
                word = {"yes": "above", "no": "below", "unclear": "not apart"}[pair.verdict]
                parts.append(
                    f"{level} {100 * pair.difference:+.1f} ± {100 * pair.half_width:.1f} ({word})"
                )
            lines.append(f"{ours} minus {name}, points at k = 10: {', '.join(parts)}")
    return lines


def show(subject: Subject, material: Material, found: Mapping[str, Found]) -> list[str]:
    """Print the table; return a sentence on which row is best at each level."""
    table = []
    for name, entry in found.items():
        cells = [
            "/".join(percent(float(entry.precision(material, level, k).mean())) for k in DEPTHS)
            for level in LEVELS
        ]
        recall = entry.recall(material, 10)
        table.append([name, *cells, "-" if recall is None else percent(float(recall.mean()))])
    depths = "/".join(map(str, DEPTHS))
    title = (
        f"Words of {subject.clip.name} for {len(material.scenes)} scenes "
        f"({subject.evaluated.images.name}), precision@{depths} in %"
    )
    print_table(title, ["", *LEVELS, "things named by 10"], table)
    lines = []
    for level in LEVELS:
        means = {
            name: float(entry.precision(material, level, 10).mean())
            for name, entry in found.items()
        }
        best = max(means, key=lambda name: means[name])
        lines.append(f"best at k = 10, {level}: {best} ({percent(means[best])} %)")
    return lines


def curves(material: Material, found: Mapping[str, Found]) -> Any:
    """Precision over k, a panel per level."""
    axes = panels(11.5, 4.4, columns=len(LEVELS))
    for ax, level in zip(axes, LEVELS, strict=True):
        for number, (name, entry) in enumerate(found.items()):
            values = [
                100 * float(entry.precision(material, level, k).mean())
                for k in range(1, DEEPEST + 1)
            ]
            ax.plot(
                range(1, DEEPEST + 1),
                values,
                marker="o" if name in OWN else None,
                markersize=3.5,
                linestyle="-" if number < len(SERIES_COLORS) else "--",
                linewidth=1.8 if name in OWN else 1.2,
                color=SERIES_COLORS[number % len(SERIES_COLORS)],
                label=name,
            )
        ax.set_title(f"right: {level}", fontsize="medium")
        ax.set_xlabel("words (k)")
        ax.set_ylim(bottom=0)
        ax.grid(axis="y", alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("precision@k (%)")
    handles, names = axes[0].get_legend_handles_labels()
    figure_of(axes[0]).legend(
        handles, names, frameon=False, ncols=4, loc="outside upper center", fontsize="small"
    )
    return axes[0]


def _mean(values: Float[Tensor, " image"]) -> dict[str, float]:
    against_nothing = paired(values, torch.zeros_like(values))
    return {"mean": against_nothing.difference, "half_width": against_nothing.half_width}


def main() -> None:
    """Parse and run."""
    parser = experiment_parser(__doc__)
    parser.add_argument("--tune", action="store_true", help="every option, on scenes of seed 11")
    parser.set_defaults(images=TUNING if "--tune" in sys.argv[1:] else SCORED)
    run_experiment(parser, measure)


if __name__ == "__main__":
    main()
