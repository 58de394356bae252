"""What `advgen explain` prints and writes."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from advgen.config import AttackConfig

if TYPE_CHECKING:
    from PIL import Image

    from advgen.evaluate.explanation import Explanation
    from advgen.imagesets import ImageSet
    from advgen.models import ClipModel
    from advgen.neurons import SignedWord

WORDS_IN_A_ROW = 4


SIDE = 768
"""Largest side in pixels of an image that is shown: nothing shows it larger."""


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedPicture:
    """One image and what was found of it.

    Attributes:
        called: What the user calls it: its path, or its place in its image set.
        sha256: Of its file; None where it is no file.
        seen: What the model sees of it, a square of at most `SIDE` pixels.
        explanations: One per pair.
    """

    called: str
    sha256: str | None
    seen: Image.Image
    explanations: Sequence[Explanation]


def explained_picture(
    clip: ClipModel,
    images: ImageSet,
    index: int,
    image: Image.Image,
    explanations: Sequence[Explanation],
) -> ExplainedPicture:
    """What is kept of image number `index` of a set."""
    from advgen.heatmap_overlay import seen_image
    from advgen.imagesets.listed import ListedFiles
    from advgen.store import sha256_file

    seen = seen_image(clip, image)
    if seen.width > SIDE:
        seen = seen.resize((SIDE, SIDE))
    digest = sha256_file(images.path(index)) if isinstance(images, ListedFiles) else None
    return ExplainedPicture(images.describe(index), digest, seen, explanations)


def print_explanation(name: str, explanation: Explanation) -> None:
    """One image and pair as lines and a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(110, Console().width), markup=False, emoji=False, highlight=False)
    scores, pair = explanation.scores, explanation.pair
    console.print(f"{name}: {pair}", style="bold", soft_wrap=True)
    console.print(
        f"  taken for {explanation.taken_for}: cos({pair.target_class}) "
        f"{scores.cos_target:+.4f}, cos({pair.true_class}) {scores.cos_true:+.4f}, "
        f"margin {scores.margin:+.4f}",
        soft_wrap=True,
    )
    console.print(
        f"  patches: first-order {float(explanation.first_order.sum()):+.4f}, "
        f"second-order {float(explanation.second_order.sum()):+.4f}"
    )
    sides = ((pair.target_class, explanation.towards), (pair.true_class, explanation.against))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("  towards", "neuron", "adds to margin", "words added", "words taken off"):
        table.add_column(title, justify="right" if title == "adds to margin" else "left")
    for side, pushes in sides:
        for push in pushes:
            table.add_row(
                f"  {side}",
                str(push.neuron),
                f"{push.contribution:+.5f}",
                _words(push.raised),
                _words(push.lowered),
            )
    if table.row_count:
        console.print(table)


def explanation_document(
    config: AttackConfig,
    clip: ClipModel,
    names: Sequence[str],
    found: Sequence[ExplainedPicture],
) -> dict[str, Any]:
    """What explanation.json holds."""
    from advgen.evaluate.explanation import explanation_row

    rows = [
        {
            "image": entry.called,
            "sha256": entry.sha256,
            "picture": f"{name}-{explanation.pair.slug}.png",
            **explanation_row(explanation),
        }
        for name, entry in zip(names, found, strict=True)
        for explanation in entry.explanations
    ]
    return {**_facts(config, clip), "explanations": rows}


def write_explanations(
    out: Path,
    config: AttackConfig,
    clip: ClipModel,
    names: Sequence[str],
    found: Sequence[ExplainedPicture],
    document: dict[str, Any],
) -> None:
    """Pictures first, the page last: whoever sees the page finds everything else."""
    from advgen.explanation_page import ExplainedImage, ExplanationPage, render_explanations
    from advgen.heatmap_overlay import legend_lines, overlay, side_by_side
    from advgen.store import write_atomic

    entries = []
    for name, picture in zip(names, found, strict=True):
        image = picture.seen
        for entry in picture.explanations:
            pair = entry.pair
            sheet = side_by_side(
                [
                    ("image", image),
                    ("first-order", overlay(image, entry.first_order)),
                    ("second-order", overlay(image, entry.second_order)),
                ],
                [
                    f"taken for {entry.taken_for}, margin {entry.scores.margin:+.4f}",
                    *legend_lines(pair.true_class, pair.target_class),
                ],
            )
            buffer = io.BytesIO()
            sheet.save(buffer, format="PNG", optimize=True)
            write_atomic(out / f"{name}-{pair.slug}.png", buffer.getvalue())
            entries.append(ExplainedImage(name, image, entry))
    write_atomic(out / "explanation.json", json.dumps(document, indent=1) + "\n")
    facts = _facts(config, clip)
    shown = {
        "model": clip.name,
        "weights sha256": clip.weights_sha256[:12],
        "layers": ", ".join(map(str, facts["layers"])),
        "image set": facts["lens_images"],
        "layer norm's mean": facts["treatment"],
        "text pool": facts["pool"],
    }
    sandbox = PurePath(clip.name).name.startswith("sandbox")
    page = ExplanationPage(shown, entries, sandbox)
    write_atomic(out / "explanation.html", render_explanations(page))


def _facts(config: AttackConfig, clip: ClipModel) -> dict[str, Any]:
    return {
        "model": clip.name,
        "weights_sha256": clip.weights_sha256,
        "layers": list(config.lens.layers),
        "lens_images": config.lens.images,
        "treatment": config.lens.treatment,
        "pool": config.text.pool,
        "nonzeros": config.text.nonzeros,
        "atoms": config.text.atoms,
    }


def _words(words: Sequence[SignedWord]) -> str:
    return ", ".join(entry.word for entry in words[:WORDS_IN_A_ROW])
