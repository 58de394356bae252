"""How the lens and the decomposition grow: with layers, images, neurons and the pool's size.

    python -m benchmarks.speed.growth --out FOLDER     # growth.json and growth.png

ViT-B-32 at its real size with random weights. Directions are taken from random coefficients, and
codes from random texts: neither time depends on the values.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from advgen.lens import SecondOrderLens, principal_directions
from advgen.lens.coefficients import StreamedTable
from advgen.store import write_atomic
from advgen.text import omp
from benchmarks.speed.measure import clock_of, middle, peak_mib, random_clip, seconds

LAYERS = (1, 3, 6, 11)
IMAGES = (100, 300, 1000)
NEURONS = (768, 1536, 3072)
ATOMS = (3_000, 10_000, 30_000)
LAST = 10


def by_layers(clip: Any, clock: Any, batch: int) -> list[dict[str, float]]:
    """Lens pass against encode_image for the last 1 to 11 layers."""
    pixels = torch.randn(batch, 3, *clip.image_size)
    rows = []
    for count in LAYERS:
        lens = SecondOrderLens(clip, list(range(LAST + 1 - count, LAST + 1)))
        lens.coefficients(pixels)
        ratios = []
        for _ in range(5):
            plain = seconds(partial(clip.encode_image, pixels, normalize=False), clock)
            ratios.append(seconds(partial(lens.coefficients, pixels), clock) / plain)
        rows.append({"layers": count, "ratio": middle(ratios)[0]})
    return rows


def random_table(images: int, neurons: int, later: int) -> StreamedTable:
    """Coefficients of random images."""
    table = StreamedTable(neurons, later, dtype=torch.float16, budget=1 << 34)
    for start in range(0, images, 100):
        table.append(torch.randn(min(100, images - start), neurons, later))
    return table


def by_images(clip: Any, clock: Any) -> list[dict[str, float]]:
    """Seconds of one layer's directions, and the memory that its coefficients take."""
    lens = SecondOrderLens(clip, [8])
    rows = []
    for count in IMAGES:
        table = random_table(count, clip.vision.neurons, lens.basis.size(8))
        taken = seconds(lambda t=table: principal_directions(t, lens.basis, 8), clock)
        stored = table.nbytes / (1 << 20)
        rows.append({"images": count, "s": taken, "stored_mib": stored, "peak_mib": peak_mib()})
    return rows


def by_neurons(clip: Any, clock: Any) -> list[dict[str, float]]:
    """Seconds of the directions of some neurons of a layer over 300 images."""
    lens = SecondOrderLens(clip, [8])
    rows = []
    for count in NEURONS:
        table = random_table(300, count, lens.basis.size(8))
        taken = seconds(lambda t=table: principal_directions(t, lens.basis, 8), clock)
        rows.append({"neurons": count, "s": taken})
    return rows


def by_atoms(clock: Any, targets: int) -> list[dict[str, float]]:
    """Seconds per target of sparse codes with 32 and 128 words, against the pool's size."""
    unit = torch.nn.functional.normalize
    wanted = unit(torch.randn(targets, 512), dim=1)
    rows = []
    for count in ATOMS:
        atoms = unit(torch.randn(count, 512) + 2 * torch.randn(512) / 512**0.5, dim=1)
        for nonzeros in (32, 128):
            taken = seconds(partial(omp, wanted, atoms, nonzeros), clock)
            rows.append({"atoms": count, "nonzeros": nonzeros, "ms": 1000 * taken / targets})
    return rows


def draw(found: dict[str, Any]) -> Figure:
    """Four panels."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = figure.subplots(2, 2)
    layers, images, neurons, atoms = panels.flat
    layers.plot(*columns(found["layers"], "layers", "ratio"), "o-")
    layers.axhline(1.0, color="black", linewidth=0.8)
    layers.set(xlabel="layers read", ylabel="lens pass / encode_image", ylim=(0.9, None))
    images.plot(*columns(found["images"], "images", "s"), "o-")
    images.set(xlabel="images (one layer, 3072 neurons)", ylabel="directions (s)")
    neurons.plot(*columns(found["neurons"], "neurons", "s"), "o-")
    neurons.set(xlabel="neurons (300 images)", ylabel="directions (s)")
    for nonzeros, marker in ((32, "o"), (128, "s")):
        some = [row for row in found["atoms"] if row["nonzeros"] == nonzeros]
        atoms.plot(*columns(some, "atoms", "ms"), f"{marker}-", label=f"{nonzeros} words")
    atoms.set(xlabel="texts in the pool", ylabel="sparse code (ms per neuron)")
    atoms.legend(frameon=False)
    for ax in panels.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_ylim(bottom=None if ax is layers else 0)
    return figure


def columns(rows: list[dict[str, float]], x: str, y: str) -> tuple[list[float], list[float]]:
    """Two columns of a table."""
    return [row[x] for row in rows], [row[y] for row in rows]


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--targets", type=int, default=128)
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds")
    parser.add_argument("--out", type=Path, help="folder for growth.json and growth.png")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    clock, clip = clock_of(options.cpu_time), random_clip("ViT-B-32")
    found = {
        "layers": by_layers(clip, clock, options.batch),
        "images": by_images(clip, clock),
        "neurons": by_neurons(clip, clock),
        "atoms": by_atoms(clock, options.targets),
    }
    for name, rows in found.items():
        print(f"by {name}:")
        for row in rows:
            print("  " + ", ".join(f"{key} {value:.4g}" for key, value in row.items()))
    if options.out:
        write_atomic(options.out / "growth.json", json.dumps(found, indent=1) + "\n")
        draw(found).savefig(options.out / "growth.png", dpi=110)


if __name__ == "__main__":
    main()
