"""`advgen concepts`: words for what is in images, read from the neurons that they activate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from advgen.cli.console import StderrProgress
from advgen.cli.neuron_options import lens_parameters, neurons_config
from advgen.cli.settings import config_options
from advgen.records import to_json

if TYPE_CHECKING:
    from advgen.config import AttackConfig
    from advgen.evaluate.concepts.discover import ImageConcepts

THRESHOLDS = ("quantile", "top")
SCORES = ("codes", "projection")
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
    "--threshold",
    default="top",
    show_default=True,
    type=click.Choice(THRESHOLDS),
    help="A neuron is activated from its hundredth largest effect on (released code), or above its "
    "98th percentile (paper's text).",
)
@click.option(
    "--score",
    default="projection",
    show_default=True,
    type=click.Choice(SCORES),
    help="Words of a neuron: all by their projection (ours), or its sparse code (paper).",
)
@click.option(
    "--signed", is_flag=True, help="An effect against the neuron's direction counts against it."
)
@click.option("--specific", is_flag=True, help="Words that many neurons have count less.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def concepts(
    images: tuple[str, ...],
    top: int,
    threshold: Any,
    score: Any,
    signed: bool,
    specific: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Print words for what is in each image, and the neurons behind them.

    IMAGE is an image file, a folder, or an image set such as sandbox:20?seed=3. The defaults name
    several times as many drawn things as the paper's rule (`--score codes --threshold quantile`) on
    the sandbox, where that can be measured: `python -m benchmarks.concepts`.

    Example: advgen concepts photo.jpg --top 5
    """
    if specific and score == "projection":
        raise click.UsageError("--specific counts words in codes: add --score codes")
    config = neurons_config(settings)
    with StderrProgress() as progress:
        progress.stage("starting")
        from advgen.evaluate.concepts.discover import ConceptRule

        rule = ConceptRule(threshold=threshold, score=score, signed=signed, specific=specific)
        found = _find(images, config, rule, top, progress)
    if as_json:
        click.echo(json.dumps([to_json(entry) for entry in found]))
    else:
        print_concepts(found)


def _find(
    names: Sequence[str], config: AttackConfig, rule: Any, top: int, progress: StderrProgress
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
