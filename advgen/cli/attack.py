"""`advgen attack`: a whole attack, from words to a report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from advgen.cli.console import (
    StderrProgress,
    with_world_names,
    writable_folder,
)
from advgen.cli.pairs import pair_options
from advgen.cli.settings import config_options, settings_table
from advgen.config import METHODS, AttackConfig, attack_config
from advgen.records import ClassPair


@click.command()
@pair_options
@config_options
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("second-order",),
    show_default=True,
    type=click.Choice(METHODS),
    help="How spurious words are found; repeatable.",
)
@click.option(
    "--images",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Images per pair, method and repeat.",
)
@click.option(
    "--repeats",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Repetitions with other draws.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Run directory.  [default: runs/PAIRS-METHODS-sSEED]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print models, licences, downloads, images and memory, and stop.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def attack(
    pairs: tuple[ClassPair, ...],
    methods: tuple[str, ...],
    images: int,
    repeats: int,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Attack a CLIP: make natural scenes of TRUE that it takes for TARGET.

    Repeat the same command to continue an interrupted run; finished images are kept.

    Example: advgen attack --pair dog:deer
    """
    table = {
        **settings_table(**settings),
        "pairs": [str(pair) for pair in pairs],
        "methods": list(dict.fromkeys(methods)),
        "images": images,
        "repeats": repeats,
    }
    config = attack_config(table)
    started = time.monotonic()
    with StderrProgress() as progress:
        progress.stage("starting")
        config = with_world_names(config, progress)
        root = writable_folder(out or default_out(config.pairs, methods, config.seed))
        if dry_run:
            show_plan(config, root, as_json)
            return
        from advgen.attack import run_attack
        from advgen.processes import current_processes
        from advgen.publish import publish
        from advgen.store import ArtifactStore, default_store_root

        store = ArtifactStore(default_store_root())
        outcome = run_attack(config, root, store, progress)
        if current_processes().rank == 0:
            progress.stage("writing the report")
            publish(config, outcome)
    rows = [result.to_json() for result in outcome.results]
    if as_json:
        click.echo(json.dumps({"run_dir": str(root), "results": rows}))
        return
    print_table(rows)
    click.echo(f"contact {outcome.layout.contact}")
    click.echo(f"report  {outcome.layout.report}")
    click.echo(f"done in {time.monotonic() - started:.0f} s", err=True)


def show_plan(config: AttackConfig, root: Path, as_json: bool) -> None:
    """Print what an attack would load, fetch, draw and write; nothing is done."""
    from advgen.attack.classes import check_classes
    from advgen.cli.plan_tables import print_plan
    from advgen.plan import attack_plan

    check_classes(config)
    plan = attack_plan(config)
    if as_json:
        click.echo(json.dumps({"run_dir": str(root), **plan.to_json()}))
    else:
        print_plan(plan)
        click.echo(f"run directory: {root}")


def default_out(pairs: tuple[ClassPair, ...], methods: tuple[str, ...], seed: int) -> Path:
    """Run directory named after what is attacked."""
    names = "+".join(pair.slug for pair in pairs[:3]) + (
        f"+{len(pairs) - 3}" if len(pairs) > 3 else ""
    )
    return Path("runs") / f"{names}-{'+'.join(dict.fromkeys(methods))}-s{seed}"


def print_table(rows: list[dict]) -> None:
    """The results as a table on stdout; the success rate is `both` over `verified`."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("pair", "method", "repeat"):
        table.add_column(name)
    for name in ("images", "fooled", "verified", "both", "success rate", "95 % interval"):
        table.add_column(name, justify="right")
    for row in rows:
        rate, interval = row["attack_success_rate"], row["interval"]
        table.add_row(
            row["pair"],
            row["method"],
            str(row["repeat"]),
            str(row["images"]),
            str(row["fooled"]),
            str(row["verified"]),
            str(row["fooled_verified"]),
            "-" if rate is None else f"{rate:.1%}",
            "-" if interval is None else f"{100 * interval[0]:.1f} - {interval[1]:.1%}",
        )
    Console(width=max(110, Console().width)).print(table)
