"""`advgen segment`: where in an image a class is, as heat map and mask."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advgen import registry
from advgen.cli.console import StderrProgress, check_world_words, writable_folder
from advgen.cli.settings import parse_change
from advgen.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from advgen.evaluate.segmentation.metrics import Threshold
    from advgen.evaluate.segmentation.single import ImageSegmentation

METHODS = registry.names("segmenter")
KINDS = ("overlay", "heat", "mask")


def _options(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    return dict(parse_change(text) for text in values)


@click.command()
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--class", "name", required=True, metavar="NAME", help="What is looked for.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the pictures."
)
@click.option("--model", default="sandbox-a", show_default=True, help="The CLIP that looks.")
@click.option(
    "--method",
    default="second-order",
    show_default=True,
    type=click.Choice(METHODS),
    help="How its heat map is made.",
)
@click.option(
    "--set",
    "options",
    metavar="KEY=VALUE",
    multiple=True,
    callback=_options,
    help="An option of the method, e.g. neurons=100; repeatable.",
)
@click.option(
    "--threshold",
    default="0.5",
    show_default=True,
    type=click.Choice(("0.5", "mean")),
    help="Pixels above it make the mask: a half, or the heat map's mean.",
)
@click.option(
    "--lens-images",
    default="sandbox:2000",
    show_default=True,
    help="Image set of the neurons' directions, for methods that look at neurons.",
)
@click.option(
    "--template", help="Class prompt with {noun}.  [default: a photo of {article} {noun}.]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def segment(
    images: tuple[Path, ...],
    name: str,
    out: Path,
    model: str,
    method: str,
    options: dict[str, Any],
    threshold: Threshold,
    lens_images: str,
    template: str | None,
    as_json: bool,
) -> None:
    """Find a class in images: heat map and mask as PNG.

    For each image: NAME-overlay.png (yellow is where the class is), NAME-heat.png (white is 1) and
    NAME-mask.png, all at the image's own size, and segmentation.json for all of them. Most models
    look at the middle square of an image only; what lies outside is never part of the mask, is
    transparent in the heat map and dark in the overlay. Images that cannot be read are named and
    left out, and the exit code is 1.

    The second-order method is the paper's by default; on the sandbox its exact map is far better
    (`--set maps=effect --set rectify=positive`; `python -m benchmarks.table4` has every option).

    Example: advgen segment photo.jpg --class dog --out found
    """
    writable_folder(out)
    if not name.strip():
        raise click.BadParameter("name a class, e.g. dog", param_hint="--class")
    stems = _stems(images)
    _check_inputs_stay(images, out, stems)
    for word in (name, *_contrast(options)):
        check_world_words(model, word)
    with StderrProgress() as progress:
        from advgen.evaluate.segmentation.opening import segmenter_inputs
        from advgen.evaluate.segmentation.protocol import open_segmenter
        from advgen.evaluate.segmentation.settings import SegmentationConfig
        from advgen.evaluate.segmentation.single import segment_image, upright_image
        from advgen.imagesets import UnreadableImageError
        from advgen.models import DEFAULT_TEMPLATES, encode_classes, load_clip
        from advgen.models.text import check_template
        from advgen.processes import local_device
        from advgen.store import ArtifactStore, default_store_root

        templates = (template,) if template else DEFAULT_TEMPLATES
        for text in templates:
            check_template(text)
        skipped: list[dict[str, str]] = []
        for path in images:  # read again when its turn comes: not all are held at once
            try:
                upright_image(path)
            except UnreadableImageError as error:
                skipped.append({"image": str(path), "reason": error.reason})
        left_out = {entry["image"] for entry in skipped}
        if len(skipped) == len(images):
            raise DataError(_left_out(skipped))
        progress.stage(f"loading {model}")
        clip = load_clip(model, device=local_device())
        lens = SegmentationConfig(lens_images=lens_images).lens
        store = ArtifactStore(default_store_root())
        inputs = segmenter_inputs(clip, lens, store, progress, templates)
        segmenter = open_segmenter(method, inputs, **options)
        embedding = encode_classes(clip, [name], templates=templates)[0].float().cpu()
        progress.stage(f"{method} heat maps", len(images))
        rows: list[dict[str, Any]] = []
        for path, stem in zip(images, stems, strict=True):
            progress.advance()
            if str(path) in left_out:
                continue
            image = upright_image(path)
            found = segment_image(clip, segmenter, image, embedding, threshold=threshold)
            rows.append({"image": str(path), **_write(out, stem, image, found)})
        _write_summary(
            out,
            {
                "class": name,
                "model": {"name": clip.name, "weights_sha256": clip.weights_sha256},
                "method": {"name": method, "options": options},
                "threshold": threshold,
                "templates": list(templates),
                "lens_images": lens_images,
                "images": rows,
                "skipped": skipped,
            },
        )
    _show(out, name, rows, skipped, as_json)
    if skipped:
        raise DataError(_left_out(skipped))


def _contrast(options: dict[str, Any]) -> list[str]:
    """Names of other classes among a method's options, which are checked when it is made."""
    named = options.get("contrast")
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _left_out(skipped: list[dict[str, str]]) -> str:
    said = (f"{entry['image']} is not a readable image ({entry['reason']})" for entry in skipped)
    return f"{'; '.join(said)}; remove or replace what is named"


def _show(
    out: Path,
    name: str,
    rows: list[dict[str, Any]],
    skipped: list[dict[str, str]],
    as_json: bool,
) -> None:
    if as_json:
        click.echo(json.dumps({"out": str(out), "images": rows, "skipped": skipped}))
        return
    for row in rows:
        seen = "" if row["seen"]["share"] > 0.999 else f", {row['seen']['share']:.1%} of it seen"
        click.echo(
            f"{row['image']}: cosine with '{name}' {row['cosine']:+.3f}, "
            f"{row['foreground']:.1%} of the image called {name}{seen}"
        )
        for kind in KINDS:
            click.echo(f"  {kind} {out / row[kind]}")
    click.echo(f"summary {out / 'segmentation.json'}")


def _write(out: Path, stem: str, image: Image, found: ImageSegmentation) -> dict[str, Any]:
    from advgen.segmentation_plots import heat_overlay, heat_picture, mask_picture
    from advgen.store import write_atomic

    heatmap = found.heatmap.numpy()
    pictures = {
        "overlay": heat_overlay(image, heatmap),
        "heat": heat_picture(heatmap),
        "mask": mask_picture(found.mask),
    }
    for kind, picture in pictures.items():
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        write_atomic(out / f"{stem}-{kind}.png", buffer.getvalue())
    box = found.box
    edges = {name: round(getattr(box, name), 2) for name in ("left", "top", "right", "bottom")}
    share = (box.right - box.left) * (box.bottom - box.top) / (image.width * image.height)
    return {
        "width": image.width,
        "height": image.height,
        "cosine": found.cosine,
        "foreground": float(found.mask.mean()),
        "seen": {**edges, "share": share},
        "heat": f"{stem}-heat.png",
        "mask": f"{stem}-mask.png",
        "overlay": f"{stem}-overlay.png",
        "patches": [[float(value) for value in row] for row in found.heat],
    }


def _write_summary(out: Path, summary: dict[str, Any]) -> None:
    from advgen.store import canonical_json, write_atomic

    write_atomic(out / "segmentation.json", canonical_json(summary, indent=1) + "\n")


def _stems(images: tuple[Path, ...]) -> list[str]:
    """File stems, with a number where an earlier image has the same one."""
    stems: list[str] = []
    taken: set[str] = set()  # in small letters: some file systems know no others
    for path in images:
        stem, number = path.stem, 1
        while stem.lower() in taken:
            number += 1
            stem = f"{path.stem}-{number}"
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def _check_inputs_stay(images: tuple[Path, ...], out: Path, stems: list[str]) -> None:
    written = {(out / f"{stem}-{kind}.png").resolve() for stem in stems for kind in KINDS}
    for path in images:
        if path.resolve() in written:
            raise click.BadParameter(
                f"{path} would be overwritten by a picture of that name; choose another folder",
                param_hint="--out",
            )
