"""Fig. 6: first-order and second-order heat maps of images that fooled the model.

    python -m benchmarks.fig6                                # the sandbox, under two minutes
    python -m benchmarks.fig6 --preset paper --runs RUNS     # the paper's models; needs a GPU

Attacks the paper's five pairs, takes per pair the images that fooled the model most, and draws
both maps for v = target - true. On the sandbox the exact masks say how far the maps lie where they
should: heat speaks for the target class, so on what is of the true class it ought to be lower than
on the rest of the image. Images without a mask, or that the true thing fills or does not show in,
are left out of that; all other images that fooled the model are counted for that, not only those
shown. Writes fig6.json and fig6.png into benchmarks/results (--out).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from advgen.attack import run_attack
from advgen.attack.opening import open_model
from advgen.attack.words import pair_classes
from advgen.cli.console import StderrProgress
from advgen.errors import AdvgenError
from advgen.experiment_plots import figure_of, panels
from advgen.experiments.output import print_table, write_figure, write_result
from advgen.experiments.paper import TABLE_3_PAIRS
from advgen.heatmap_overlay import overlay, seen_image
from advgen.imagesets import open_image
from advgen.records import ClassPair, Sample
from advgen.sandbox.render import render_masks
from advgen.sandbox.scene import Scene
from advgen.scoring.heatmap import run_heatmap
from advgen.store import ArtifactStore, default_store_root
from benchmarks.attack_options import attack_parser, chosen_config

SHOWN = 2
FINE = 8
"""Side of a patch in pixels of the mask that decides which patches a thing covers."""
COLORS = 256
ORDERS = ("first-order", "second-order")


def covered(sample: Sample, side: int) -> np.ndarray | None:
    """Share of every patch that the true class covers, float [side, side]; None if nobody knows."""
    scene = json.loads(sample.truth or "{}").get("sandbox_scene")
    if scene is None:
        return None
    mask = np.zeros((side * FINE, side * FINE), dtype=bool)
    for found in render_masks(Scene.from_dict(scene), side * FINE):
        if found.item.concept == sample.true_class:
            mask |= found.visible
    return mask.reshape(side, FINE, side, FINE).mean(axis=(1, 3))


def mean_difference(heat: torch.Tensor, share: np.ndarray) -> float | None:
    """Mean heat on what the true class covers minus that on the rest; None if there is no rest."""
    if not 0 < share.sum() < share.size:
        return None
    values = heat.double().numpy()
    inside = (values * share).sum() / share.sum()
    return float(inside - (values * (1 - share)).sum() / (1 - share).sum())


def counts(differences: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Per kind of map: images, and in how many the true thing is the colder part, or neither is."""
    return {
        name: {
            "images": len(values),
            "colder": sum(value < 0 for value in values),
            "equal": sum(value == 0 for value in values),
        }
        for name, values in differences.items()
    }


def picture(
    rows: Sequence[tuple[Sample, Image.Image, Mapping[str, torch.Tensor]]],
) -> Figure:
    """A column per image: the image and its two maps."""
    columns = len(rows)
    axes = panels(1.75 * columns, 5.8, columns=columns, rows=3)
    for column, (sample, image, maps) in enumerate(rows):
        drawn = [image, *(overlay(image, maps[name]) for name in ORDERS)]
        for row, shown in enumerate(drawn):
            ax = axes[row * columns + column]
            ax.imshow(np.asarray(shown.resize((192, 192))))
            ax.set_xticks([])
            ax.set_yticks([])
            if not column:
                ax.set_ylabel(("image", *ORDERS)[row])
        title = f"{sample.true_class} \u2192\n{sample.target_class}\n{sample.margin:+.3f}"
        axes[column].set_title(title, fontsize="small")
    return figure_of(axes[0])


def measure(options: argparse.Namespace, progress: StderrProgress) -> None:
    """Attack, map, count, draw."""
    config = chosen_config(options, pairs=list(TABLE_3_PAIRS))
    root = options.runs / f"fig6-{options.preset}-s{options.seed}"
    outcome = run_attack(config, root, ArtifactStore(default_store_root()), progress)
    clip = open_model(config)
    classes = pair_classes(config, clip)
    fooled = sorted(
        (row for row in outcome.samples if row.fooled), key=lambda row: (-row.margin, row.id)
    )
    progress.stage("heat maps", len(fooled))
    differences: dict[str, list[float]] = {name: [] for name in ORDERS}
    shown = []
    taken: dict[str, int] = {}
    for sample in fooled:
        image = seen_image(clip, open_image(root / sample.path))
        pair = ClassPair(sample.true_class, sample.target_class)
        true, target = classes[pair]
        pixels, contrast = clip.preprocess(image)[None], target - true
        maps = {name: run_heatmap(name, clip, pixels, contrast, config.lens) for name in ORDERS}
        share = covered(sample, len(maps["first-order"]))
        for name, heat in maps.items():
            difference = None if share is None else mean_difference(heat, share)
            if difference is not None:
                differences[name].append(difference)
        if taken.get(str(pair), 0) < SHOWN:
            taken[str(pair)] = taken.get(str(pair), 0) + 1
            shown.append((sample, image, maps))
        progress.advance(1)
    order = [str(pair) for pair in config.pairs]
    shown.sort(key=lambda row: order.index(f"{row[0].true_class}:{row[0].target_class}"))
    found = counts(differences)
    result = {
        "model": {"name": clip.name, "weights_sha256": clip.weights_sha256},
        "images": len(outcome.samples),
        "fooled": len(fooled),
        "shown": [row[0].id for row in shown],
        "colder_on_the_true_thing": found,
    }
    compared = len(differences[ORDERS[0]])
    print_table(
        f"{len(fooled)} of {len(outcome.samples)} images fooled {clip.name}; {compared} of them "
        "show the true thing and something else, by exact masks",
        ["map", "images", "colder on the true thing than beside it", "equal"],
        [[name, row["images"], row["colder"], row["equal"]] for name, row in found.items()],
    )
    write_result(options.out, "fig6", result)
    if shown:
        write_figure(options.out / "fig6.png", picture(shown), colors=COLORS)


def main() -> None:
    """Measure and keep; a fault that the user can fix is one line."""
    options = attack_parser(__doc__, repeats=False).parse_args()
    try:
        with StderrProgress() as progress:
            measure(options, progress)
    except (AdvgenError, click.BadParameter) as error:
        sys.exit(f"benchmarks.fig6: {error}")


if __name__ == "__main__":
    main()
