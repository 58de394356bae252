"""The command line of benchmarks that attack: the preset, single settings, where things lie."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from advgen.cli.settings import parse_change, with_change
from advgen.config import AttackConfig, attack_config, read_preset
from benchmarks.experiment import RESULTS


def attack_parser(doc: str | None, *, repeats: bool = True) -> argparse.ArgumentParser:
    """A parser with the options that all of them take.

    Args:
        doc: Of the script; its first line describes it.
        repeats: Whether the attack can be repeated with other draws.
    """
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    add = parser.add_argument
    add("--preset", default="sandbox", help="sandbox (default), paper or paper-flux")
    add("--images", type=int, default=100, help="per pair, method and repeat (100)")
    if repeats:
        add("--repeats", type=int, default=3, help="repeats with other draws (3)")
    add("--seed", type=int, default=0)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of the preset")
    add("--runs", type=Path, default=Path("runs"), help="folder of the runs' directories")
    add("--out", type=Path, default=RESULTS, help="folder of the JSON and PNG (benchmarks/results)")
    return parser


def chosen_config(
    options: argparse.Namespace, changes: Sequence[str] = (), **given: Any
) -> AttackConfig:
    """The preset with its settings changed.

    Args:
        options: Of `attack_parser`.
        changes: More of KEY=VALUE; what the user sets comes after them.
        given: Pairs, methods, repeats.

    Raises:
        ConfigError: If a value cannot be used.
        click.BadParameter: If a change is no KEY=VALUE.
    """
    table = read_preset(options.preset)
    for text in (*changes, *options.set):
        table = with_change(table, *parse_change(text))
    return attack_config({**table, **given, "images": options.images, "seed": options.seed})
