"""`advgen words`: the spurious words of a pair, without drawing anything."""

from __future__ import annotations

import json
from typing import Any

import click

from advgen.cli.console import StderrProgress, with_world_names
from advgen.cli.pairs import pair_options
from advgen.cli.settings import config_options, settings_table
from advgen.config import METHODS, attack_config
from advgen.records import ClassPair, WordList, to_json


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
    help="How words are mined; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def words(
    pairs: tuple[ClassPair, ...], methods: tuple[str, ...], as_json: bool, **settings: Any
) -> None:
    """Print the words that speak for TARGET, the neurons behind them, and what was dropped.

    Example: advgen words --pair dog:deer
    """
    table = {
        **settings_table(**settings),
        "pairs": [str(pair) for pair in pairs],
        "methods": list(dict.fromkeys(methods)),
    }
    config = attack_config(table)
    with StderrProgress() as progress:
        progress.stage("starting")
        config = with_world_names(config, progress)
        from advgen.attack import mine
        from advgen.store import ArtifactStore, default_store_root

        lists = mine(config, ArtifactStore(default_store_root()), progress)
    if as_json:
        click.echo(json.dumps([to_json(word_list) for word_list in lists]))
        return
    for word_list in lists:
        print_words(word_list)


def print_words(word_list: WordList) -> None:
    """One pair's words as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        title=f"{word_list.pair} ({word_list.method})",
    )
    table.add_column("word")
    table.add_column("score", justify="right")
    table.add_column("neurons layer:index (contribution)")
    for word in word_list.kept:
        behind = ", ".join(
            f"{share.neuron} ({share.contribution:+.3f})" for share in word.neurons[:4]
        )
        table.add_row(word.word, f"{word.score:.3f}", behind or "-")
    console = Console(width=max(110, Console().width), markup=False, emoji=False)
    console.print(table)
    for dropped in word_list.dropped:
        like = "" if dropped.similarity is None else f" (cosine {dropped.similarity:.2f})"
        console.print(
            f"dropped {dropped.word} ({dropped.score:.3f}): {dropped.reason}{like}", highlight=False
        )
