"""Tables 2 and 5: neurons as signed words, drawn by chance; how many concepts a neuron has.

    python -m benchmarks.table2                                    # sandbox, under a minute
    python -m benchmarks.table2 --preset paper --layers 8,9,10

The neurons of the table are drawn with a seed, not chosen. Concepts are counted for a larger draw
per layer. Writes table2.json into benchmarks/results (--out).
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from pathlib import Path
from typing import Any

from advgen.cli.console import StderrProgress
from advgen.cli.neuron_options import ANY_PAIR
from advgen.config import AttackConfig, attack_config, read_preset
from advgen.errors import AdvgenError
from advgen.experiments.output import print_table, write_result
from advgen.neurons import Catalogue, NeuronFacts, describe_neurons, open_catalogue, provenance
from advgen.records import Neuron
from advgen.store import ArtifactStore, default_store_root
from advgen.text import encode_pool, load_pool, make_solver
from benchmarks.experiment import RESULTS

SOLVER = "batched"


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--preset", default="sandbox", help="sandbox (default), paper or paper-flux")
    add("--model", help="name, folder or file of a CLIP")
    add("--layers", help="MLP layers, e.g. 8,9,10")
    add("--neurons", type=int, default=12, help="neurons in the table (12)")
    add("--words", type=int, default=6, help="words per neuron in the table (6)")
    add("--counted", type=int, default=64, help="neurons per layer whose concepts are counted (64)")
    add("--seed", type=int, default=0, help="of the draws")
    add("--out", type=Path, default=RESULTS, help="folder of the JSON (benchmarks/results)")
    return parser.parse_args()


def make_config(options: argparse.Namespace) -> AttackConfig:
    """The preset's model, lens and text settings."""
    table = read_preset(options.preset)
    if options.model:
        table.setdefault("model", {})["name"] = options.model
    if options.layers:
        table["lens"]["layers"] = [int(layer) for layer in options.layers.split(",")]
    return attack_config({**table, "pairs": [str(ANY_PAIR)], "seed": options.seed})


def drawn(catalogue: Catalogue, count: int, rng: random.Random) -> list[Neuron]:
    """Some neurons that have a direction, by chance."""
    speaking = [
        neuron
        for neuron in catalogue.neurons
        if catalogue.directions[neuron.layer].direction[neuron.index].any()
    ]
    chosen = rng.sample(speaking, min(count, len(speaking)))
    return sorted(chosen, key=lambda neuron: (neuron.layer, neuron.index))


def by_layer(facts: list[NeuronFacts]) -> list[dict[str, Any]]:
    """Median number of concepts and variance explained, layer by layer."""
    layers = sorted({fact.neuron.layer for fact in facts})
    rows = []
    for layer in layers:
        some = [fact for fact in facts if fact.neuron.layer == layer]
        rows.append(
            {
                "layer": layer,
                "neurons": len(some),
                "concepts": statistics.median(fact.concepts for fact in some),
                "explained_variance": statistics.median(fact.explained_variance for fact in some),
            }
        )
    return rows


def show(result: dict[str, Any], words: int) -> None:
    """Print both tables."""
    print_table(
        f"Neurons of {result['model']} drawn by chance (seed {result['seed']})",
        ["neuron", "PC1 %", "concepts", f"first {words} words of its code"],
        [
            [
                f"{row['layer']}:{row['index']}",
                f"{100 * row['explained_variance']:.0f}",
                f"{row['concepts']:.1f}",
                ", ".join(f"{value:+.2f} {word}" for word, value in row["words"]),
            ]
            for row in result["neurons"]
        ],
    )
    print_table(
        "Median over neurons drawn by chance",
        ["layer", "neurons", "PC1 %", "concepts"],
        [
            [
                str(row["layer"]),
                row["neurons"],
                f"{100 * row['explained_variance']:.0f}",
                f"{row['concepts']:.1f}",
            ]
            for row in result["layers"]
        ],
    )


def measure(options: argparse.Namespace, progress: StderrProgress) -> dict[str, Any]:
    """Describe the drawn neurons."""
    catalogue = open_catalogue(make_config(options), ArtifactStore(default_store_root()), progress)
    rng = random.Random(options.seed)
    shown = drawn(catalogue, options.neurons, rng)
    counted: list[Neuron] = []
    for layer in sorted(catalogue.directions):
        one = Catalogue(
            catalogue.config,
            catalogue.clip,
            catalogue.images,
            {layer: catalogue.directions[layer]},
        )
        counted += drawn(one, options.counted, rng)
    encoded = encode_pool(catalogue.clip, load_pool(catalogue.config.text.pool))
    solver = make_solver(SOLVER)
    progress.stage("words of neurons", len(shown) + len(counted))
    facts = describe_neurons(catalogue, shown, encoded, solver, progress)
    layers = by_layer(describe_neurons(catalogue, counted, encoded, solver, progress))
    rows = [
        {
            "layer": fact.neuron.layer,
            "index": fact.neuron.index,
            "explained_variance": fact.explained_variance,
            "concepts": fact.concepts,
            "words": [[word.word, word.coefficient] for word in fact.words[: options.words]],
        }
        for fact in facts
    ]
    return {
        "model": catalogue.clip.name,
        "seed": options.seed,
        "neurons": rows,
        "layers": layers,
        "made_with": provenance(catalogue, solver=SOLVER),
    }


def main() -> None:
    """Describe, print, keep; a fault that the user can fix is one line."""
    options = parse_options()
    try:
        with StderrProgress() as progress:
            result = measure(options, progress)
        show(result, options.words)
        write_result(options.out, "table2", result)
    except AdvgenError as error:
        sys.exit(f"benchmarks.table2: {error}")


if __name__ == "__main__":
    main()
