"""The closed loop: the same images in several rounds, each asked for around the words that worked.

    python -m benchmarks.closed_loop                     # tuning pairs, all variants
    python -m benchmarks.closed_loop --pairs scored      # the paper's pairs: plain and chosen, once

Every variant draws 100 images per pair, method and repeat; only how they are spread over sentences
and rounds differs. The variant was chosen on the tuning pairs before the scored ones were run.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advgen.attack import run_attack
from advgen.cli.console import StderrProgress
from advgen.config import METHODS, AttackConfig, attack_config, attack_table, read_preset
from advgen.errors import AdvgenError
from advgen.experiments.output import print_table, write_result
from advgen.experiments.paper import TABLE_3_PAIRS
from advgen.experiments.success import POOLED, Success, by_description, success_table
from advgen.store import ArtifactStore, default_store_root
from benchmarks.experiment import RESULTS
from benchmarks.table3 import OURS, cell, print_described

TUNING_PAIRS = ("cat:fox", "owl:airplane", "bus:train", "turtle:rock", "cow:sheep")


@dataclass(frozen=True, slots=True)
class Variant:
    """How the images of a cell are spread."""

    rounds: int
    sentences: int
    words: int

    @property
    def name(self) -> str:
        """Name in tables and of the run's directory."""
        return f"{self.rounds}x{self.sentences // self.rounds}-w{self.words}"


PLAIN = Variant(1, 10, 10)
CHOSEN = Variant(5, 25, 10)
"""Of the leaders on the tuning pairs the one with fewest rounds: each loads the describer anew."""
TRIED = (
    PLAIN,
    Variant(1, 25, 10),
    Variant(2, 20, 10),
    Variant(4, 20, 10),
    CHOSEN,
    Variant(10, 50, 10),
    Variant(1, 10, 25),
    Variant(5, 25, 25),
)


def make_config(variant: Variant, options: argparse.Namespace) -> AttackConfig:
    """The attack on the sandbox with a variant."""
    table = read_preset("sandbox")
    describe = {"rounds": variant.rounds, "descriptions": variant.sentences}
    tuning = options.pairs == "tuning"
    return attack_config(
        {
            **table,
            "describe": {**table["describe"], **describe},
            "mining": {**table["mining"], "words": variant.words},
            "pairs": list(TUNING_PAIRS if tuning else TABLE_3_PAIRS),
            "methods": ["second-order", "random-words"] if tuning else list(METHODS),
            "images": options.images,
            "repeats": options.repeats,
            "seed": options.seed,
        }
    )


def main() -> None:
    """Run the variants, print a table, keep it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--pairs", choices=("tuning", "scored"), default="tuning")
    add("--images", type=int, default=100, help="per pair, method and repeat (100)")
    add("--repeats", type=int, default=3)
    add("--seed", type=int, default=0)
    add("--runs", type=Path, default=Path("runs"), help="folder of the runs' directories")
    add("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    variants = TRIED if options.pairs == "tuning" else (PLAIN, CHOSEN)
    found: dict[str, dict[str, dict[str, Success]]] = {}
    described: dict[str, dict[str, Any]] = {}
    configs: dict[str, Any] = {}
    try:
        for variant in variants:
            config = make_config(variant, options)
            root = options.runs / f"closed-loop-{options.pairs}-{variant.name}-s{options.seed}"
            with StderrProgress() as progress:
                store = ArtifactStore(default_store_root())
                outcome = run_attack(config, root, store, progress)
            found[variant.name] = success_table(outcome.results)
            rows = by_description(outcome.samples, OURS)
            described[variant.name] = {method: row.to_json() for method, row in rows.items()}
            print_described(rows)
            configs[variant.name] = attack_table(config)
    except AdvgenError as error:
        sys.exit(f"benchmarks.closed_loop: {error}")
    methods = list(next(iter(found.values())))
    print_table(
        f"Success in % of verified images, {options.pairs} pairs pooled, sandbox-a",
        ["rounds x sentences - words", *methods],
        [
            [name, *(cell(table[method][POOLED].verified) for method in methods)]
            for name, table in found.items()
        ],
    )
    result = {
        "configs": configs,
        "by_description": described,
        "table": {
            name: {
                method: {pair: success.to_json() for pair, success in rows.items()}
                for method, rows in table.items()
            }
            for name, table in found.items()
        },
    }
    write_result(options.out, f"closed_loop_{options.pairs}", result)


if __name__ == "__main__":
    main()
