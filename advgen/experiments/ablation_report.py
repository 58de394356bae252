"""The mean ablation of Figs. 3 and 9 as a table and as plain values."""

from __future__ import annotations

import dataclasses
from typing import Any

from advgen.experiments import paper
from advgen.experiments.mean_ablation import MeanAblation
from advgen.experiments.output import percent, print_lines, print_table, provenance
from advgen.experiments.subject import Subject
from advgen.experiments.verdicts import ablation_verdicts, noise

PAPER = (
    paper.BASELINE,
    paper.SECOND_ORDER_LEFT,
    paper.SECOND_ORDER_PC1,
    paper.SIGNIFICANT,
    paper.LATE_LAYERS,
    paper.SPARSE,
    paper.RANK_ONE,
)
_HEADER = (
    "accuracy (%)",
    "not ablated",
    "all ablated",
    "w/o large",
    "w/o small",
    "PC1 kept",
    "large (%)",
    "PC1 var. (%)",
)


def ablation_result(subject: Subject, found: MeanAblation) -> dict[str, Any]:
    """What `ablation.json` and `fig3.json` hold: provenance, rows, verdicts, paper's figures."""
    rows = [dataclasses.asdict(row) for row in found.rows]
    return {
        **provenance(subject, skipped=found.skipped),
        "accuracy": {"not_ablated": found.baseline, "images": found.images, "rows": rows},
        "noise": noise(found.baseline, found.images),
        "verdicts": [
            dataclasses.asdict(verdict) for verdict in ablation_verdicts(found, _depth(subject))
        ],
        "paper": [dataclasses.asdict(figure) for figure in PAPER],
    }


def print_ablation(subject: Subject, found: MeanAblation) -> None:
    """Print the table, the paper's figures and one verdict per claim on stdout."""
    rows = [
        (
            row.name,
            percent(found.baseline),
            percent(row.ablated),
            percent(row.without_large),
            percent(row.without_small),
            percent(row.first_component),
            percent(row.share_large),
            percent(row.explained_variance),
        )
        for row in found.rows
    ]
    title = (
        f"Second-order effects of {subject.clip.name} on {subject.evaluated.images.name} "
        f"({found.images} images), means from {subject.summarised.images.name}, "
        f"treatment {subject.config.treatment}"
    )
    print_table(title, _HEADER, rows, PAPER)
    print_lines([verdict.line() for verdict in ablation_verdicts(found, _depth(subject))])


def _depth(subject: Subject) -> int:
    return subject.clip.vision.layers - 1
