"""How an experiment is handed over: a table on stdout, JSON and PNG in a folder."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from advgen.experiments.paper import PaperFigure
from advgen.experiments.subject import Subject
from advgen.imagesets import ImageSet
from advgen.imagesets.batches import Skipped
from advgen.store import canonical_json, write_atomic
from advgen.versions import installed_versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIGITS = 6
"""Decimals kept in JSON: more would differ between machines."""
PNG_DPI = 150
_PACKAGES = ("advgen", "torch", "open_clip_torch", "numpy", "scikit-learn", "wordfreq")
_TABLE_WIDTH = 110


def provenance(subject: Subject, *, skipped: Sequence[Skipped] = ()) -> dict[str, Any]:
    """What the numbers of an experiment depend on, as plain values; no clock, no machine.

    Args:
        subject: What was looked at.
        skipped: Evaluated images that could not be read.

    Returns:
        `config`, `model`, `images`, `lens_images`, `layers`, `versions`.
    """
    return {
        "config": dataclasses.asdict(subject.config),
        "model": {"name": subject.clip.name, "weights_sha256": subject.clip.weights_sha256},
        "images": {
            **_images(subject.evaluated.images),
            "classes": len(subject.evaluated.images.classes),
            "skipped": [{"index": item.index, "reason": item.reason} for item in skipped],
        },
        "lens_images": _images(subject.summarised.images),
        "layers": list(subject.layers),
        "versions": installed_versions(_PACKAGES),
    }


def write_result(
    out: Path, name: str, result: Mapping[str, Any], figure: Figure | None = None
) -> list[Path]:
    """Write `out/name.json` and, where there is a figure, `out/name.png`.

    Args:
        out: Folder, made if missing.
        name: Stem of the files.
        result: Plain values with finite numbers; NaN becomes null, numbers are rounded to `DIGITS`.
        figure: Matplotlib figure (not of pyplot).

    Returns:
        The files written.

    Raises:
        StoreError: If a file cannot be written.
        ValueError: If a value is not plain JSON.
    """
    paths = [out / f"{name}.json"]
    write_atomic(paths[0], result_json(result))
    if figure is not None:
        paths.append(out / f"{name}.png")
        write_figure(paths[1], figure)
    return paths


def write_figure(path: Path, figure: Figure, *, colors: int | None = None) -> None:
    """Write a figure as PNG.

    Args:
        path: The file.
        figure: Matplotlib figure (not of pyplot).
        colors: At most so many colours: pictures take a third of the bytes with 256; None keeps
            all.

    Raises:
        StoreError: If the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    if colors is not None:
        image = Image.open(buffer).convert("RGB").quantize(colors, kmeans=2)
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", optimize=True)
    write_atomic(path, buffer.getvalue())


def result_json(result: Mapping[str, Any]) -> str:
    """The text of a result: sorted keys, rounded numbers, one line end."""
    return canonical_json(_plain(result), indent=1) + "\n"


def print_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str | int | float | None]],
    paper: Sequence[PaperFigure] = (),
) -> None:
    """Print a table on stdout, the paper's figures below it.

    Args:
        title: What the table shows.
        header: Names of the columns.
        rows: Cells; text stays as it is, numbers get two decimals, None and NaN become `-`.
        paper: Figures of the paper to compare with.

    Raises:
        ValueError: If a row has another length than the header.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"expected {len(header)} cells in a row; got {len(row)}")
        table.add_row(*(_cell(value) for value in row))
    console = Console(width=max(_TABLE_WIDTH, Console().width), markup=False, emoji=False)
    console.print(table)
    for figure in paper:
        console.print(figure.line(), highlight=False, soft_wrap=True)


def print_lines(lines: Sequence[str]) -> None:
    """Print sentences on stdout, one per line."""
    from rich.console import Console

    console = Console(markup=False, emoji=False)
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def percent(share: float) -> str:
    """A share in [0, 1] as it stands in a table: `63.1`; `-` for NaN."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _images(images: ImageSet) -> dict[str, Any]:
    return {"name": images.name, "count": len(images), "fingerprint": images.fingerprint}


def _cell(value: str | int | float | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Mappings with text keys, lists, rounded numbers; NaN becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DIGITS)
    return value
