"""`advgen explain`: where in an image a CLIP reads one class rather than another, and why."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advgen.cli.console import StderrProgress, with_world_names, writable_folder
from advgen.cli.explain_output import (
    ExplainedPicture,
    explained_picture,
    explanation_document,
    print_explanation,
    write_explanations,
)
from advgen.cli.pairs import pair_options
from advgen.cli.settings import config_options, settings_table
from advgen.config import AttackConfig, attack_config
from advgen.records import ClassPair, Neuron

if TYPE_CHECKING:
    from PIL import Image

    from advgen.evaluate.explanation import Explanation
    from advgen.imagesets import ImageSet
    from advgen.models import ClipModel
    from advgen.neurons import Catalogue, SignedWord


def _nothing(**_settings: Any) -> None:
    """Carries the options of `config_options`."""


_SETTINGS = [
    option
    for option in click.command()(config_options(_nothing)).params
    if option.name != "seed"  # nothing is drawn
]


@click.command(params=list(_SETTINGS))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@pair_options
@click.option(
    "--neurons",
    "count",
    default=5,
    show_default=True,
    type=click.IntRange(0),
    help="Neurons named on each side; 0 needs no directions and is quick.",
)
@click.option(
    "--out",
    default="explanation",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the pictures, explanation.json and explanation.html.",
)
@click.option("--json", "as_json", is_flag=True, help="Print explanation.json instead of tables.")
def explain(
    images: tuple[str, ...],
    pairs: tuple[ClassPair, ...],
    count: int,
    out: Path,
    as_json: bool,
    **settings: Any,
) -> None:
    """Show where in IMAGE a CLIP reads TARGET rather than TRUE, and the neurons that made it so.

    IMAGE is an image file, a folder, or an image set such as sandbox:20?seed=3.

    Example: advgen explain scene.png --pair dog:deer
    """
    for name in images:
        if ":" not in name and not Path(name).exists():  # with a colon it may be an image set
            raise click.BadParameter(f"there is no file or folder '{name}'", param_hint="IMAGE...")
    writable_folder(out)
    table = settings_table(**settings, seed=0)
    config = attack_config({**table, "pairs": [str(pair) for pair in pairs]})
    with StderrProgress() as progress:
        progress.stage("starting")
        config = _checked(config, progress)
        from advgen.evaluate.concepts.pictures import open_pictures

        sets = open_pictures(images)
        clip, catalogue = _model(config, count, progress)
        found = _explanations(config, clip, catalogue, sets, count, progress)
        names = picture_names([Path(entry.called) for entry in found])
        document = explanation_document(config, clip, names, found)
        progress.stage("writing")
        write_explanations(out, config, clip, names, found, document)
    if as_json:
        click.echo(json.dumps(document))
        return
    for entry in found:
        for explanation in entry.explanations:
            print_explanation(entry.called, explanation)
    click.echo(f"page {out / 'explanation.html'}")


def picture_names(paths: Sequence[Path]) -> list[str]:
    """A file name for each image, different for each, of letters that every system takes."""
    width = len(str(len(paths)))
    return [
        f"{number:0{width}d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', path.stem)[:80]}"
        for number, path in enumerate(paths, start=1)
    ]


def _checked(config: AttackConfig, progress: StderrProgress) -> AttackConfig:
    """A sandbox CLIP knows the classes of its own world only; others read any text."""
    from advgen import registry
    from advgen.attack.classes import check_classes

    if config.model.name in registry.names("clip"):
        config = with_world_names(config, progress)
        check_classes(config)
    return config


def _model(
    config: AttackConfig, count: int, progress: StderrProgress
) -> tuple[ClipModel, Catalogue | None]:
    """The model, and the directions of its neurons where neurons are to be named."""
    from advgen.attack.opening import open_model
    from advgen.evaluate.explanation import check_explainable
    from advgen.neurons import open_catalogue
    from advgen.store import ArtifactStore, default_store_root

    if not count:
        progress.stage(f"loading {config.model.name}")
        clip = open_model(config)
        check_explainable(clip, config.lens.layers)
        return clip, None
    catalogue = open_catalogue(config, ArtifactStore(default_store_root()), progress)
    check_explainable(catalogue.clip, config.lens.layers)
    return catalogue.clip, catalogue


def _explanations(
    config: AttackConfig,
    clip: ClipModel,
    catalogue: Catalogue | None,
    sets: Sequence[ImageSet],
    count: int,
    progress: StderrProgress,
) -> list[ExplainedPicture]:
    """Every readable image with its explanations, pair by pair.

    Images are read one by one, and of each only what is shown is kept.
    """
    from advgen.attack.words import pair_classes
    from advgen.evaluate.explanation import explain_image, with_words

    classes = pair_classes(config, clip)
    progress.stage("explaining", sum(map(len, sets)))
    found = []
    for images, index, image in _readable(sets, progress):
        pixels = clip.preprocess(image)[None]
        explanations = [
            explain_image(
                clip,
                pixels,
                pair,
                embeddings,
                config.lens.layers,
                directions=catalogue.directions if catalogue else None,
                count=count,
                treatment=config.lens.treatment,
            )
            for pair, embeddings in classes.items()
        ]
        found.append(explained_picture(clip, images, index, image, explanations))
        progress.advance()
    if catalogue is None:
        return found
    every = [explanation for entry in found for explanation in entry.explanations]
    words = _words_of(catalogue, every, progress)
    return [
        dataclasses.replace(entry, explanations=[with_words(e, words) for e in entry.explanations])
        for entry in found
    ]


def _readable(
    sets: Sequence[ImageSet], progress: StderrProgress
) -> Iterator[tuple[ImageSet, int, Image.Image]]:
    """The images one by one; one of a folder that cannot be read is noted and left out.

    Raises:
        DataError: If no image of a set can be read.
    """
    from advgen.imagesets.files import UnreadableImageError

    for images in sets:
        fault = None
        read = 0
        for index in range(len(images)):
            try:
                image = images[index]
            except UnreadableImageError as error:
                fault = error
                progress.note(f"skipped an unreadable image: {error.name} ({error.reason})")
                progress.advance()
                continue
            read += 1
            yield images, index, image
        if fault is not None and not read:
            raise fault


def _words_of(
    catalogue: Catalogue, explanations: Sequence[Explanation], progress: StderrProgress
) -> dict[Neuron, tuple[SignedWord, ...]]:
    from advgen.neurons import describe_neurons
    from advgen.text import encode_pool, load_pool, make_solver

    named = sorted(
        {push.neuron for entry in explanations for push in (*entry.towards, *entry.against)},
        key=lambda neuron: (neuron.layer, neuron.index),
    )
    if not named:
        return {}
    pool = catalogue.config.text.pool
    progress.stage(f"encoding the text pool {pool}")
    encoded = encode_pool(catalogue.clip, load_pool(pool))
    for note in encoded.pool.notes:
        progress.note(f"text pool {pool}: {note}")
    progress.stage(f"words of {len(named)} neurons", len(named))
    facts = describe_neurons(catalogue, named, encoded, make_solver(), progress)
    return {entry.neuron: entry.words for entry in facts}
