"""What `advgen neurons` prints: rows of plain values in, tables on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

WORDS_IN_A_ROW = 110


def print_layers(layers: Sequence[Mapping[str, Any]]) -> None:
    """One line per layer (`LayerSummary`)."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "layer",
        "neurons",
        "silent",
        "variance explained",
        "above 50 %",
        "large from",
        "large images",
    ):
        table.add_column(name, justify="right")
    for row in layers:
        table.add_row(
            str(row["layer"]),
            str(row["neurons"]),
            str(row["silent"]),
            f"{row['explained_variance']:.1%}",
            f"{row['mostly_one']:.1%}",
            f"{row['norm_threshold']:.4g}",
            f"{row['significant']:.1%}",
        )
    _console().print(table)


def print_ranking(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per neuron (`neuron_row`, with `alignment` where a pair was asked for)."""
    aligned = any("alignment" in row for row in rows)
    worded = any(row["words"] for row in rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("neuron")
    if aligned:
        table.add_column("<v, r_n>", justify="right")
    for name in ("variance explained", "large from", "largest norm"):
        table.add_column(name, justify="right")
    if worded:
        table.add_column("concepts", justify="right")
        table.add_column("words")
    for row in rows:
        cells = [f"{row['layer']}:{row['index']}"]
        cells += [f"{row['alignment']:+.3f}"] if aligned else []
        cells += [f"{row['explained_variance']:.1%}"]
        cells += [f"{row['norm_threshold']:.4g}", f"{row['largest_norm']:.4g}"]
        cells += [f"{row['concepts']:.1f}", _words(row["words"])] if worded else []
        table.add_row(*cells)
    _console().print(table)


def print_neuron(row: Mapping[str, Any]) -> None:
    """One neuron: `neuron_row` with `images`."""
    console = _console()
    concepts = f", {row['concepts']:.1f} concepts" if row["words"] else ""
    console.print(f"{row['layer']}:{row['index']}", style="bold", highlight=False)
    console.print(
        f"  variance explained {row['explained_variance']:.1%}{concepts}; norms: large from "
        f"{row['norm_threshold']:.4g}, 98 % below {row['norm_quantile']:.4g}, "
        f"largest {row['largest_norm']:.4g}",
        highlight=False,
    )
    for sign, label in ((1, "for"), (-1, "against")):
        words = [entry for entry in row["words"] if entry["coefficient"] * sign > 0]
        if words:
            console.print(f"  {label:<8}{_words(words)}", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("  image")
    table.add_column("norm", justify="right")
    table.add_column("projection", justify="right")
    for image in row["images"]:
        table.add_row(f"  {image['name']}", f"{image['norm']:.4g}", f"{image['projection']:+.4g}")
    console.print(table)


def _words(entries: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{entry['word']} {entry['coefficient']:+.2f}" for entry in entries)


def _console() -> Console:
    return Console(width=max(WORDS_IN_A_ROW, Console().width), markup=False, emoji=False)
