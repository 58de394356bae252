"""`advgen neurons`: directions of neurons, as tables, files and pages of cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advgen.cli.console import StderrProgress
from advgen.cli.neuron_options import (
    NeuronType,
    code_options,
    lens_parameters,
    neurons_config,
    parse_pair,
)
from advgen.cli.neuron_tables import print_layers, print_neuron, print_ranking
from advgen.config import AttackConfig
from advgen.records import ClassPair, Neuron, to_json

if TYPE_CHECKING:
    from advgen.attack import Progress
    from advgen.neurons import Catalogue, NeuronFacts

SOLVER = "batched"
FORMATS = ("json", "csv", "parquet")
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON instead of a table."
)


@click.group()
def neurons() -> None:
    """Directions of neurons: compute, list, show, export; pages of neuron cards."""


@neurons.command(params=lens_parameters("pool"))
@click.option(
    "--memory-mib",
    default=256,
    show_default=True,
    type=click.IntRange(0),
    help="Lens coefficients held in memory; beyond that they go to scratch files.",
)
@click.option(
    "--disk-gib",
    default=64.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Scratch files; where they do not suffice, the images are passed twice.",
)
@click.option(
    "--workers",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Processes that read images ahead.",
)
@as_json_option
def compute(memory_mib: int, disk_gib: float, workers: int, as_json: bool, **settings: Any) -> None:
    """Find the directions of whole layers and keep them in the store.

    An interrupted call leaves its batches in scratch files, and the same command goes on with them
    (`--memory-mib 0` makes sure of that for small sets). `accelerate launch --num_processes N -m
    advgen neurons compute ...` shares the work between processes.

    Example: advgen neurons compute --layers 3,4
    """
    config = neurons_config(settings)
    with StderrProgress() as progress:
        catalogue = _open(
            config, progress, memory_mib=memory_mib, disk_gib=disk_gib, workers=workers
        )
        from advgen.neurons import summarise_layers

        layers = [to_json(layer) for layer in summarise_layers(catalogue)]
    folder = str(_store_folder())
    if as_json:
        click.echo(json.dumps({"store": folder, "layers": layers}))
        return
    print_layers(layers)
    click.echo(f"stored in {folder}")


@neurons.command("list", params=lens_parameters("layers"))
@click.option("--layer", type=click.IntRange(0), help="Only this layer.  [default: the preset's]")
@click.option(
    "--sort",
    type=click.Choice(("explained", "threshold", "norm")),
    help="Variance explained, bound of large effects, or largest norm.  [default: explained]",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Rows.")
@click.option(
    "--for",
    "pair",
    metavar="TRUE:TARGET",
    callback=parse_pair,
    help="Neurons that separate two classes most, by |<v, r_n>|.",
)
@code_options(0)
@as_json_option
def ranking(
    layer: int | None,
    sort: str | None,
    limit: int,
    pair: ClassPair | None,
    words: int,
    nonzeros: int | None,
    atoms: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """List the strongest neurons; `--words 4` adds words to each.

    Example: advgen neurons list --for dog:deer --words 4
    """
    if pair and sort:
        raise click.UsageError("--for sorts by <v, r_n>; leave out --sort")
    layers = None if layer is None else [layer]
    config = neurons_config(settings, pair=pair, layers=layers, nonzeros=nonzeros, atoms=atoms)
    with StderrProgress() as progress:
        _check_pair(config, pair)
        catalogue = _open(config, progress)
        ordered = _ordered(catalogue, pair, sort)[:limit]
        facts = _facts(catalogue, [neuron for neuron, _ in ordered], words, progress)
    from advgen.neurons import neuron_row

    rows = [
        {**neuron_row(entry), **({"alignment": round(value, 6)} if pair else {})}
        for entry, (_, value) in zip(facts, ordered, strict=True)
    ]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_ranking(rows)


@neurons.command(params=lens_parameters("layers"))
@click.argument("chosen", nargs=-1, required=True, type=NeuronType(), metavar="LAYER:INDEX...")
@code_options(10)
@click.option(
    "--images", default=10, show_default=True, type=click.IntRange(1, 100), help="Images shown."
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page of cards."
)
@as_json_option
def show(
    chosen: tuple[Neuron, ...],
    words: int,
    nonzeros: int | None,
    atoms: str | None,
    images: int,
    html: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Print what neurons stand for: signed words, numbers, top images.

    Example: advgen neurons show 4:10 4:11 --html cards.html
    """
    wanted = list(dict.fromkeys(chosen))
    layers = sorted({neuron.layer for neuron in wanted})
    config = neurons_config(settings, layers=layers, nonzeros=nonzeros, atoms=atoms)
    with StderrProgress() as progress:
        catalogue = _open(config, progress, wanted)
        from advgen.neurons import image_name, leading_images, neuron_row

        facts = _facts(catalogue, wanted, words, progress)
        tops = leading_images(catalogue, facts, images, progress)
        if html:
            _write_page(catalogue, facts, images, html, progress)
    rows = [
        {
            **neuron_row(entry),
            "images": [
                {"name": image_name(catalogue.images, image.index), **to_json(image)}
                for image in top
            ],
        }
        for entry, top in zip(facts, tops, strict=True)
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        print_neuron(row)
    if html:
        click.echo(f"page {html}")


@neurons.command(params=lens_parameters())
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="File ending in .json, .csv or .parquet, or a folder for neurons.FORMAT.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="[default: by --out, else json]")
@code_options(10)
@click.option("--html", is_flag=True, help="Write a page of cards beside the file.")
@click.option(
    "--cards",
    default=60,
    show_default=True,
    type=click.IntRange(1),
    help="Cards on that page, by variance explained.",
)
@click.option(
    "--images", default=10, show_default=True, type=click.IntRange(1, 100), help="Images per side."
)
def export(
    out: Path,
    form: str | None,
    words: int,
    nonzeros: int | None,
    atoms: str | None,
    html: bool,
    cards: int,
    images: int,
    **settings: Any,
) -> None:
    """Write all neurons of the layers with their numbers and words.

    Example: advgen neurons export --layers 4 --out neurons.csv
    """
    path, form = export_path(out, form)
    config = neurons_config(settings, nonzeros=nonzeros, atoms=atoms)
    with StderrProgress() as progress:
        catalogue = _open(config, progress)
        from advgen.neurons import encode_neurons, provenance
        from advgen.store import write_atomic

        facts = _facts(catalogue, catalogue.neurons, words, progress)
        write_atomic(path, encode_neurons(facts, form, provenance(catalogue, solver=SOLVER)))
        page = path.with_suffix(".html")
        if html:
            strongest = sorted(facts, key=lambda entry: -entry.explained_variance)[:cards]
            _write_page(catalogue, strongest, images, page, progress)
    click.echo(f"{len(facts)} neurons {path}")
    if html:
        click.echo(f"page {page}")


def export_path(out: Path, form: str | None) -> tuple[Path, str]:
    """The file to write and its format; a usage error (exit 2) where they contradict each other."""
    suffix = out.suffix.lower().removeprefix(".")
    if suffix in FORMATS and not out.is_dir():
        if form not in (None, suffix):
            raise click.BadParameter(f"{out} is not a {form} file", param_hint="--format")
        return out, suffix
    if out.is_file() or (suffix and not out.is_dir()):
        raise click.BadParameter(
            f"{out} is neither a folder nor a file ending in .json, .csv or .parquet",
            param_hint="--out",
        )
    return out / f"neurons.{form or 'json'}", form or "json"


def _open(
    config: AttackConfig,
    progress: Progress,
    chosen: list[Neuron] | None = None,
    *,
    memory_mib: int = 256,
    disk_gib: float = 64,
    workers: int = 0,
) -> Catalogue:
    progress.stage("starting")
    from advgen.lens import Budget
    from advgen.neurons import open_catalogue
    from advgen.store import ArtifactStore, default_store_root

    store = ArtifactStore(default_store_root())
    budget = Budget(memory=memory_mib << 20, disk=int(disk_gib * (1 << 30)))
    return open_catalogue(
        config, store, progress, chosen=chosen or (), budget=budget, workers=workers
    )


def _store_folder() -> Path:
    from advgen.lens.cache import KIND
    from advgen.store import default_store_root

    return default_store_root() / KIND


def _check_pair(config: AttackConfig, pair: ClassPair | None) -> None:
    """A sandbox CLIP knows the classes of its own world only."""
    from advgen import registry
    from advgen.attack.classes import check_classes

    if pair and config.model.name in registry.names("clip"):
        check_classes(config)


def _ordered(
    catalogue: Catalogue, pair: ClassPair | None, sort: str | None
) -> list[tuple[Neuron, float]]:
    from advgen.attack.words import pair_classes
    from advgen.neurons import order_for_contrast, order_neurons

    if pair is None:
        return order_neurons(catalogue, sort or "explained")
    true, target = pair_classes(catalogue.config, catalogue.clip)[pair]
    return order_for_contrast(catalogue, target - true)


def _facts(
    catalogue: Catalogue, chosen: list[Neuron], words: int, progress: Progress
) -> list[NeuronFacts]:
    from advgen.neurons import describe_neurons, plain_facts
    from advgen.text import encode_pool, load_pool, make_solver

    if not words:
        return [plain_facts(catalogue, neuron) for neuron in chosen]
    pool = catalogue.config.text.pool
    progress.stage(f"encoding the text pool {pool}")
    encoded = encode_pool(catalogue.clip, load_pool(pool))
    for note in encoded.pool.notes:
        progress.note(f"text pool {pool}: {note}")
    progress.stage(f"words of {len(chosen)} neurons", len(chosen))
    return describe_neurons(catalogue, chosen, encoded, make_solver(SOLVER), progress, words=words)


def _write_page(
    catalogue: Catalogue, facts: list[NeuronFacts], images: int, path: Path, progress: Progress
) -> None:
    from advgen.neuron_page import page_of, render_neurons
    from advgen.neurons import image_name, make_cards
    from advgen.store import write_atomic

    cards = make_cards(catalogue, facts, images, progress)
    progress.stage("writing the page")
    page = render_neurons(
        page_of(catalogue, cards),
        picture=lambda index: catalogue.images[index],
        name=lambda index: image_name(catalogue.images, index),
    )
    write_atomic(path, page)
