"""`advgen sandbox`: the drawn world, for people and for training."""

from __future__ import annotations

import io
import json
from pathlib import Path

import click

from advgen.cli.console import StderrProgress, writable_folder
from advgen.errors import DataError


def _png_path(
    _context: click.Context, _parameter: click.Parameter, value: Path | None
) -> Path | None:
    if value is not None and value.suffix.lower() != ".png":
        raise click.BadParameter(f"{value} does not end in .png")
    return value


@click.group()
def sandbox() -> None:
    """The drawn world: draw, list, make image sets, train its CLIPs."""


@sandbox.command()
@click.argument("description")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    callback=_png_path,
    help="PNG to write.",
)
@click.option(
    "--size", default=512, show_default=True, type=click.IntRange(16, 4096), help="Side in pixels."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option(
    "--masks", is_flag=True, help="Write a mask per thing beside it, and the boxes as JSON."
)
def draw(description: str, out: Path, size: int, seed: int, masks: bool) -> None:
    """Draw a sentence and say which of its words could not be drawn.

    Example: advgen sandbox draw "a dog next to an elephant in a snowy forest" -o x.png --masks
    """
    from advgen.sandbox.drawing import draw_description

    drawing = draw_description(description, size=size, seed=seed)
    for path in drawing.write(out, masks=masks):
        click.echo(path)
    if not drawing.scene.items:
        click.echo("note: no thing that the sandbox can draw is named", err=True)
    if drawing.undrawn:
        click.echo(f"not drawn: {', '.join(drawing.undrawn)}", err=True)


@sandbox.command()
@click.argument("count", type=click.IntRange(1))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to write into; must be empty.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option(
    "--size", default=128, show_default=True, type=click.IntRange(16, 4096), help="Side in pixels."
)
@click.option("--single", is_flag=True, help="One thing per image, classes in turn.")
def images(count: int, out: Path, seed: int, size: int, single: bool) -> None:
    """Write a labelled image set: OUT/CLASS/NUMBER.png and metadata.jsonl."""
    from advgen.sandbox.images import SandboxImages, write_image_folder

    writable_folder(out)
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty; choose another --out")
    click.echo(write_image_folder(SandboxImages(count, seed=seed, size=size, single=single), out))


@sandbox.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def classes(as_json: bool) -> None:
    """List the things and places that the sandbox can draw."""
    from advgen.sandbox.lexicon import load_lexicon

    lexicon = load_lexicon()
    if as_json:
        click.echo(json.dumps({"classes": list(lexicon.concepts), "places": list(lexicon.places)}))
        return
    for concept in lexicon.concepts.values():
        others = f"  (also {', '.join(concept.nouns[1:])})" if len(concept.nouns) > 1 else ""
        click.echo(f"{concept.name}{others}")
    click.echo(f"places: {', '.join(lexicon.places)}")


@sandbox.command()
@click.option(
    "--sprites",
    type=click.Path(path_type=Path),
    default=None,
    callback=_png_path,
    help="PNG with every drawing.",
)
@click.option(
    "--scenes",
    type=click.Path(path_type=Path),
    default=None,
    callback=_png_path,
    help="PNG with random scenes and captions.",
)
def sheet(sprites: Path | None, scenes: Path | None) -> None:
    """Draw contact sheets of the world."""
    from advgen.sandbox.sheets import scene_sheet, sprite_sheet
    from advgen.store import write_atomic

    if sprites is None and scenes is None:
        raise click.UsageError("name at least one of --sprites and --scenes")
    for path, make in ((sprites, sprite_sheet), (scenes, scene_sheet)):
        if path is not None:
            buffer = io.BytesIO()
            make().save(buffer, format="PNG", optimize=True)
            write_atomic(path, buffer.getvalue())
            click.echo(path)


@sandbox.command()
@click.argument("name", default="sandbox-a")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Checkpoint folder  [default: checkpoints/NAME]",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("training"),
    show_default=True,
    help="Scenes and unfinished state.",
)
@click.option(
    "--processes",
    default=2,
    show_default=True,
    type=click.IntRange(1),
    help="Processes that draw scenes.",
)
@click.option(
    "--threads", default=0, type=click.IntRange(0), help="Torch threads  [default: torch's]"
)
@click.option(
    "--steps", default=None, type=click.IntRange(1), help="Fewer optimiser steps, for a trial."
)
@click.option("--scenes", default=None, type=click.IntRange(256), help="Fewer scenes, for a trial.")
def train(
    name: str,
    out: Path | None,
    work: Path,
    processes: int,
    threads: int,
    steps: int | None,
    scenes: int | None,
) -> None:
    """Train a sandbox CLIP; the same command continues an interrupted training."""
    from advgen.sandbox.training.job import train_checkpoint
    from advgen.sandbox.training.recipes import recipe

    chosen = recipe(name, steps=steps, scenes=scenes)
    with StderrProgress() as progress:
        folder = train_checkpoint(
            chosen, out or Path("checkpoints") / name, work, processes, threads, progress
        )
    click.echo(folder)
