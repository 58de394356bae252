"""`advgen concepts`: words for what is in images, read from the neurons that they activate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from advgen.cli.console import StderrProgress
from advgen.cli.neuron_options import lens_parameters, neurons_config
from advgen.cli.settings import config_options
from advgen.records import to_json

if TYPE_CHECKING:
    from advgen.config import AttackConfig
    from advgen.evaluate.concepts.discover import ConceptRule, ImageConcepts

RULE_NAMES = ("spread", "active", "paper")
THRESHOLDS = ("quantile", "top", "none")
SCORES = ("codes", "projection")
_PARTS = ("threshold", "score", "signed", "specific", "spread")
SHOWN_NEURONS = 4


def _parameters() -> list[click.Parameter]:
    """The options of a model's neurons, and `--set`."""
    shared = click.command()(config_options(_nothing)).params
    return lens_parameters() + [option for option in shared if option.name == "changes"]


def _nothing(**_settings: Any) -> None:
    """Carries the options of `config_options`."""


@click.command(params=_parameters())
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--top", default=10, show_default=True, type=click.IntRange(1), help="Words per image."
)
@click.option(
    "--rule",
    default="spread",
    show_default=True,
    type=click.Choice(RULE_NAMES),
    help="How neurons become words. spread: all of them, one word after another; active: the words "
    "nearest to those that the image activates most; paper: their sparse codes.",
)
@click.option(
    "--threshold",
    default=None,
    type=click.Choice(THRESHOLDS),
    help="A neuron is activated from its hundredth largest effect on (released code), above its "
    "98th percentile (paper's text), or always (none; needs --signed).  [default: the rule's]",
)
@click.option(
    "--score",
    default=None,
    type=click.Choice(SCORES),
    help="Words of a neuron: all by their projection (ours), or its sparse code (paper).  "
    "[default: the rule's]",
)
@click.option(
    "--signed/--unsigned",
    default=None,
    help="Whether an effect against the neuron's direction counts against it.  [default: the "
    "rule's]",
)
@click.option(
    "--specific", is_flag=True, default=None, help="Words that many neurons have count less."
)
@click.option(
    "--spread",
    default=None,
    type=click.FloatRange(0, 1),
    help="Share of a word that is taken off the image before the next is chosen: above 0, other "
    "things are named in place of more words for one.  [default: the rule's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def concepts(
    images: tuple[str, ...],
    top: int,
    rule: str,
    as_json: bool,
    **settings: Any,
) -> None:
    """Print words for what is in each image, and the neurons behind them.

    IMAGE is an image file, a folder, or an image set such as sandbox:20?seed=3. On the sandbox,
    where that can be measured, the default rule names several times as many drawn things as the
    paper's: `python -m benchmarks.concepts`. Other options replace parts of the rule.

    Example: advgen concepts photo.jpg --top 5
    """
    parts = {name: settings.pop(name) for name in _PARTS}
    config = neurons_config(settings)
    with StderrProgress() as progress:
        progress.stage("starting")
        found = _find(images, config, _chosen_rule(rule, parts), top, progress)
    if as_json:
        click.echo(json.dumps([to_json(entry) for entry in found]))
    else:
        print_concepts(found)


def _chosen_rule(name: str, parts: Mapping[str, Any]) -> ConceptRule:
    """A rule with the parts that were named in place of its own.

    Raises:
        UsageError: If the parts do not fit together.
    """
    from advgen.evaluate.concepts.discover import RULES

    named = {part: value for part, value in parts.items() if value is not None}
    wanted = {part: getattr(RULES[name], part) for part in _PARTS} | named
    if wanted["specific"] and wanted["score"] == "projection":
        raise click.UsageError("--specific counts words in codes: add --rule paper")
    if wanted["spread"] and wanted["score"] == "codes":
        raise click.UsageError("a sparse code has nothing to spread: add --spread 0")
    if wanted["threshold"] == "none" and not wanted["signed"]:
        raise click.UsageError(
            "norms of all neurons do not say for what: add --signed, or --threshold top"
        )
    return dataclasses.replace(RULES[name], **wanted)


def _find(
    names: Sequence[str],
    config: AttackConfig,
    rule: ConceptRule,
    top: int,
    progress: StderrProgress,
) -> list[ImageConcepts]:
    from advgen.evaluate.concepts.opening import open_finder, readable_batches
    from advgen.evaluate.concepts.pictures import open_pictures
    from advgen.imagesets.batches import PixelBatches
    from advgen.store import ArtifactStore, default_store_root

    sets = open_pictures(names)
    finder = open_finder(config, rule, ArtifactStore(default_store_root()), progress)
    found = []
    for images in sets:
        progress.stage(f"words for {images.name}", len(images))
        source = PixelBatches(images, finder.lens.clip.preprocess, config.lens.batch_size)
        for batch in readable_batches(source, progress):
            called = [images.describe(index) for index in batch.indices]
            found += finder.words(finder.sizes(batch.pixels), called, top=top)
    return found


def print_concepts(found: Sequence[ImageConcepts]) -> None:
    """A table per image on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(110, Console().width), markup=False, emoji=False)
    for entry in found:
        noun = "neuron" if entry.activated == 1 else "neurons"
        console.print(
            f"{entry.image} ({entry.activated} activated {noun})",
            highlight=False,
            soft_wrap=True,
        )
        if not entry.words:
            console.print("no word has a positive weight\n", highlight=False)
            continue
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("word")
        table.add_column("weight", justify="right")
        table.add_column("neurons layer:index (contribution)")
        for word in entry.words:
            behind = ", ".join(
                f"{share.neuron} ({share.contribution:+.3f})"
                for share in word.neurons[:SHOWN_NEURONS]
            )
            table.add_row(word.word, f"{word.score:.3f}", behind)
        console.print(table)
        console.print()
