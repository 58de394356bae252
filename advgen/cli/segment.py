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

if TYPE_CHECKING:
    from PIL.Image import Image

    from advgen.evaluate.segmentation.metrics import Threshold
    from advgen.evaluate.segmentation.single import ImageSegmentation

METHODS = registry.names("segmenter")


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
    transparent in the heat map and dark in the overlay.

    The second-order method is the paper's by default; on the sandbox its exact map is far better
    (`--set maps=effect --set rectify=positive`; `python -m benchmarks.table4` has every option).

    Example: advgen segment photo.jpg --class dog --out found
    """
    writable_folder(out)
    if not name.strip():
        raise click.BadParameter("name a class, e.g. dog", param_hint="--class")
    prompts = [_checked(template)] if template else None
    stems = _stems(images)
    check_world_words(model, name)
    with StderrProgress() as progress:
        from advgen.evaluate.segmentation.opening import segmenter_inputs
        from advgen.evaluate.segmentation.protocol import open_segmenter
        from advgen.evaluate.segmentation.settings import SegmentationConfig
        from advgen.evaluate.segmentation.single import segment_image
        from advgen.imagesets import open_image
        from advgen.models import DEFAULT_TEMPLATES, encode_classes, load_clip
        from advgen.processes import local_device
        from advgen.store import ArtifactStore, default_store_root

        opened = [open_image(path) for path in images]
        progress.stage(f"loading {model}")
        clip = load_clip(model, device=local_device())
        lens = SegmentationConfig(lens_images=lens_images).lens
        inputs = segmenter_inputs(clip, lens, ArtifactStore(default_store_root()), progress)
        segmenter = open_segmenter(method, inputs, **options)
        templates = prompts or DEFAULT_TEMPLATES
        embedding = encode_classes(clip, [name], templates=templates)[0].float().cpu()
        progress.stage(f"{method} heat maps", len(images))
        rows = []
        for path, stem, image in zip(images, stems, opened, strict=True):
            found = segment_image(clip, segmenter, image, embedding, threshold=threshold)
            rows.append({"image": str(path), **_write(out, stem, image, found)})
            progress.advance()
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
            },
        )
    _show(out, name, rows, as_json)


def _show(out: Path, name: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"out": str(out), "images": rows}))
        return
    for row in rows:
        seen = "" if row["seen"]["share"] > 0.999 else f", {row['seen']['share']:.1%} of it seen"
        click.echo(
            f"{row['image']}: cosine with '{name}' {row['cosine']:+.3f}, "
            f"{row['foreground']:.1%} of the image called {name}{seen}"
        )
        for kind in ("overlay", "heat", "mask"):
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
    taken: list[str] = []
    for path in images:
        stem, number = path.stem, 1
        while stem in taken:
            number += 1
            stem = f"{path.stem}-{number}"
        taken.append(stem)
    return taken


def _checked(template: str) -> str:
    if "{noun}" not in template and "{}" not in template:
        raise click.BadParameter(
            f"'{template}' has no {{noun}} where the class name goes", param_hint="--template"
        )
    return template
