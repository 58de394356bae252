"""Table 3: success of the attack by pair and method, over repeats, beside the paper's.

    python -m benchmarks.table3                              # the sandbox: results/table3.*
    python -m benchmarks.table3 --preset paper --runs RUNS   # the paper's models; needs a GPU
    python -m benchmarks.table3 --set mining.score=projection --name table3_projection

Killed and started again it goes on where it stopped. Images of generators that no judge has looked
at are counted in the unverified column only; `verified` stays empty until they are reviewed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure

from advgen.attack import Outcome, run_attack
from advgen.cli.console import StderrProgress
from advgen.config import AttackConfig, attack_table
from advgen.errors import AdvgenError
from advgen.experiment_plots import figure_of
from advgen.experiments.output import print_lines, print_table, write_result
from advgen.experiments.paper import TABLE_3, TABLE_3_PAIRS
from advgen.experiments.success import (
    POOLED,
    Described,
    Spread,
    Success,
    by_description,
    comparisons,
    success_table,
)
from advgen.plots import success_rates
from advgen.processes import current_processes
from advgen.store import ArtifactStore, default_store_root
from benchmarks.attack_options import attack_parser, chosen_config

METHODS = tuple(TABLE_3)
OURS = METHODS[0]
Table = Mapping[str, Mapping[str, Success]]


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = attack_parser(__doc__)
    add = parser.add_argument
    add("--pair", action="append", help="TRUE:TARGET; repeatable; the paper's five by default")
    add("--method", action="append", help="repeatable; the paper's four by default")
    add("--name", default="table3", help="stem of the files and of the run's directory")
    return parser.parse_args()


def make_config(options: argparse.Namespace) -> AttackConfig:
    """The attack that the options ask for."""
    return chosen_config(
        options,
        pairs=options.pair or list(TABLE_3_PAIRS),
        methods=options.method or list(METHODS),
        repeats=options.repeats,
    )


def cell(spread: Spread) -> str:
    """`8.7 ± 1.2 [7.4, 10.3]`, in percent."""
    if spread.interval is None or spread.mean is None:
        return "-"
    std = "" if spread.std is None else f" ± {100 * spread.std:.1f}"
    low, high = spread.interval
    return f"{100 * spread.mean:.1f}{std} [{100 * low:.1f}, {100 * high:.1f}]"


def print_found(config: AttackConfig, table: Table) -> list[str]:
    """Both columns of the table, the paper's beside them, and who is above whom."""
    names = [*(str(pair) for pair in config.pairs), POOLED]
    title = f"{config.model.name}, {config.images} images x {config.repeats} repeats, %"
    rows: list[list[str]] = []
    for method, found in table.items():
        for name in names:
            paper = TABLE_3.get(method, {}).get(name)
            rows.append(
                [
                    f"{method}  {name}",
                    cell(found[name].verified),
                    cell(found[name].unverified),
                    "-" if paper is None else f"{paper:.1f}",
                ]
            )
    print_table(title, ["", "verified", "unverified", "paper"], rows)
    lines = []
    for verified in (True, False):
        if OURS in table and table[OURS][POOLED].verified.images + (not verified):
            kind = "verified" if verified else "all"
            for other, place in comparisons(table, OURS, verified=verified).items():
                lines.append(f"{OURS} against {other}, {kind} images, intervals: {place}")
    print_lines(lines)
    return lines


def print_described(found: Mapping[str, Described]) -> list[str]:
    """The pooled rates over whole descriptions, and what they say of the first method's lead."""
    rows = []
    for method, row in found.items():
        low, high = row.interval
        lead = "-"
        if row.lead is not None:
            lead = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * value for value in row.lead))
        rows.append([method, f"{100 * row.rate:.1f} [{100 * low:.1f}, {100 * high:.1f}]", lead])
    count = max((row.descriptions for row in found.values()), default=0)
    print_table(
        f"Verified images, pooled, whole descriptions drawn again (up to {count} per method), %",
        ["", "success", f"lead of {OURS}"],
        rows,
    )
    return [described_line(method, row) for method, row in found.items() if row.lead is not None]


def described_line(method: str, row: Described) -> str:
    """How the first method stands to another by its lead over whole descriptions."""
    assert row.lead is not None
    value, low, high = row.lead
    place = "above" if low > 0 else "below" if high < 0 else "not apart"
    return (
        f"{OURS} minus {method}, whole descriptions drawn again: {100 * value:+.1f} "
        f"[{100 * low:+.1f}, {100 * high:+.1f}] ({place})"
    )


def figure(config: AttackConfig, table: Table) -> Figure:
    """Rates with intervals; the paper's as open rings."""
    pairs, methods = [str(pair) for pair in config.pairs], list(table)
    judged = any(table[method][POOLED].verified.images for method in methods)

    def counts(part: str) -> np.ndarray:
        spreads = [
            [
                table[method][pair].verified if judged else table[method][pair].unverified
                for method in methods
            ]
            for pair in pairs
        ]
        return np.array([[getattr(spread, part) for spread in row] for row in spreads])

    ax = success_rates(counts("counted"), counts("images"), pairs=pairs, methods=methods)
    for column, method in enumerate(methods):
        offset = 0.7 * ((column + 0.5) / len(methods) - 0.5)
        for row, pair in enumerate(pairs):
            paper = TABLE_3.get(method, {}).get(pair)
            if paper is not None:
                ax.plot(paper, row + offset, "o", mfc="none", mec="black", ms=8, mew=0.8)
    ax.plot([], [], "o", mfc="none", mec="black", ms=8, mew=0.8, label="paper (OpenAI ViT-B-32)")
    kind = "verified images" if judged else "all images, unverified"
    ax.set_xlabel(f"success in % of {kind}\n95 % Wilson intervals over {config.repeats} repeats")
    ax.legend(frameon=False, fontsize="small")
    return figure_of(ax)


def keep(options: argparse.Namespace, config: AttackConfig, outcome: Outcome) -> None:
    """Print the table and write it down."""
    table = success_table(outcome.results)
    lines = print_found(config, table)
    described = by_description(outcome.samples, OURS)
    lines += print_described(described)
    manifest = outcome.manifest
    result: dict[str, Any] = {
        "config": attack_table(config),
        "manifest": {key: manifest[key] for key in manifest if key != "machine"},
        "table": {
            method: {name: success.to_json() for name, success in found.items()}
            for method, found in table.items()
        },
        "by_description": {method: row.to_json() for method, row in described.items()},
        "paper": TABLE_3,
        "findings": lines,
    }
    write_result(options.out, options.name, result, figure(config, table))


def main() -> None:
    """Attack, print, keep; a fault that the user can fix is one line."""
    options = parse_options()
    try:
        config = make_config(options)
        root = options.runs / f"{options.name}-{options.preset}-s{options.seed}"
        with StderrProgress() as progress:
            store = ArtifactStore(default_store_root())
            outcome = run_attack(config, root, store, progress)
        if current_processes().rank == 0:
            keep(options, config, outcome)
    except (AdvgenError, click.BadParameter) as error:
        sys.exit(f"benchmarks.table3: {error}")


if __name__ == "__main__":
    main()
