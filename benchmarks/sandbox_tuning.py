"""Choose the sandbox preset's knobs on tuning pairs that no table of the paper uses.

    python -m benchmarks.sandbox_tuning [--repeats 2] [--images 100]

Prints the success rate of every method for every setting, pooled over the tuning pairs. The scored
pairs (`python -m benchmarks.sandbox`) are not touched here.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from advgen.config import METHODS, AttackConfig, attack_config, read_preset
from advgen.generation.layout import Cell
from advgen.scoring import Rate
from benchmarks.trials import Bench

TUNING_PAIRS = ("cat:fox", "owl:airplane", "bus:train", "turtle:rock", "cow:sheep")
RESULTS = Path(__file__).parent / "results" / "sandbox_tuning.json"
LAYERS = (0, 1, 2, 3, 4)


def settings(base: AttackConfig) -> dict[str, AttackConfig]:
    """One knob at a time away from the preset."""

    def lens(*layers: int) -> AttackConfig:
        return replace(base, lens=replace(base.lens, layers=layers))

    def sized(low: float, high: float) -> AttackConfig:
        return replace(
            base, draw=replace(base.draw, options={**base.draw.options, "main_size": [low, high]})
        )

    table = {"preset": base}
    for layer in LAYERS:
        table[f"layer {layer}"] = lens(layer)
    table["layers 3-4"] = lens(3, 4)
    table["layers 0-2"] = lens(0, 1, 2)
    for nonzeros in (4, 8, 16, 64):
        table[f"m = {nonzeros}"] = replace(base, text=replace(base.text, nonzeros=nonzeros))
    for atoms in ("centered-unit", "authors"):
        table[f"atoms {atoms}"] = replace(base, text=replace(base.text, atoms=atoms))
    for neurons in (25, 50, 200, 400):
        table[f"{neurons} neurons"] = replace(base, mining=replace(base.mining, neurons=neurons))
    for words in (10, 50):
        table[f"{words} words"] = replace(base, mining=replace(base.mining, words=words))
    for low, high in ((20, 26), (24, 32), (32, 40)):
        table[f"main object {low}-{high}"] = sized(low, high)
    return table


def main() -> None:
    """Run the trials and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--only", default="", help="comma-separated names of settings")
    options = parser.parse_args()
    base = attack_config(
        {**read_preset("sandbox"), "pairs": list(TUNING_PAIRS), "images": options.images}
    )
    everything = replace(base, lens=replace(base.lens, layers=LAYERS))
    bench = Bench(everything)
    chosen = settings(base)
    if options.only:
        chosen = {name: chosen[name] for name in options.only.split(",")}
    rows: list[dict[str, Any]] = []
    print(f"success rate on tuning pairs {', '.join(TUNING_PAIRS)} ({bench.clip.name})")
    print(f"{'setting':<22}" + "".join(f"{method:>16}" for method in METHODS))
    for name, config in chosen.items():
        rates = {method: pooled_rate(bench, config, method, options.repeats) for method in METHODS}
        print(
            f"{name:<22}" + "".join(f"{_percent(rate):>16}" for rate in rates.values()), flush=True
        )
        rows.append({"setting": name, **{m: rate.attack_success_rate for m, rate in rates.items()}})
    RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "model": bench.clip.name,
        "weights_sha256": bench.clip.weights_sha256,
        "repeats": options.repeats,
        "images": options.images,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def pooled_rate(bench: Bench, config: AttackConfig, method: str, repeats: int) -> Rate:
    """Counts over all tuning pairs and repeats."""
    total = Rate(0, 0, 0, 0)
    for pair in config.pairs:
        for repeat in range(repeats):
            total = total + bench.trial(config, Cell(pair, method, repeat))
    return total


def _percent(rate: Rate) -> str:
    share = rate.attack_success_rate
    return "-" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
