"""Choose the sandbox preset's knobs on tuning pairs that no table of the paper uses.

    python -m benchmarks.sandbox_tuning [--repeats 2] [--images 100]

Prints the success rate of every method for every setting, pooled over the tuning pairs. It begins
with the paper's 25 words and otherwise the preset, and moves one knob at a time. The scored pairs
(`python -m benchmarks.sandbox`) are not touched here.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from advgen.config import METHODS, AttackConfig, attack_config, read_preset
from advgen.generation.layout import Cell
from advgen.scoring import Rate, pool
from benchmarks.trials import Bench

TUNING_PAIRS = ("cat:fox", "owl:airplane", "bus:train", "turtle:rock", "cow:sheep")
RESULTS = Path(__file__).parent / "results" / "sandbox_tuning.json"
LAYERS = (0, 1, 2, 3, 4)
STARTING_WORDS = 25
SIZES = ((20, 26), (24, 32), (32, 40))


def settings(base: AttackConfig) -> dict[str, AttackConfig]:
    """One knob at a time away from where the tuning began."""
    table = {"start": base}
    for name, layers in {"0-2": (0, 1, 2), "2-4": (2, 3, 4), "3-4": (3, 4), "4": (4,)}.items():
        table[f"layers {name}"] = replace(base, lens=replace(base.lens, layers=layers))
    for nonzeros in (8, 16, 64):
        table[f"m = {nonzeros}"] = replace(base, text=replace(base.text, nonzeros=nonzeros))
    for neurons in (25, 50, 200, 400):
        table[f"{neurons} neurons"] = replace(base, mining=replace(base.mining, neurons=neurons))
    table["atoms centered-unit"] = replace(base, text=replace(base.text, atoms="centered-unit"))
    for words in (6, 10, 15, 50):
        table[f"{words} words"] = replace(base, mining=replace(base.mining, words=words))
    for low, high in SIZES:
        options = {**base.draw.options, "main_size": [low, high]}
        table[f"main object {low}-{high}"] = replace(base, draw=replace(base.draw, options=options))
    return table


def main() -> None:
    """Run the trials and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--method", choices=METHODS, action="append", help="only this; repeatable")
    parser.add_argument("--only", default="", help="comma-separated names of settings")
    options = parser.parse_args()
    base = attack_config(
        {**read_preset("sandbox"), "pairs": list(TUNING_PAIRS), "images": options.images}
    )
    base = replace(base, mining=replace(base.mining, words=STARTING_WORDS))
    everything = replace(base, lens=replace(base.lens, layers=LAYERS))
    bench = Bench(everything)
    chosen = settings(base)
    if options.only:
        chosen = {name: chosen[name] for name in options.only.split(",")}
    rows: dict[str, dict[str, Any]] = {}
    known: dict[Any, Rate] = {}
    print(f"success rate on tuning pairs {', '.join(TUNING_PAIRS)} ({bench.clip.name})")
    methods = options.method or METHODS
    print(f"{'setting':<22}" + "".join(f"{method:>16}" for method in methods))
    for name, config in chosen.items():
        rates = {}
        for method in options.method or METHODS:
            key = (method, *depends_on(config, method))
            if key not in known:
                known[key] = pooled_rate(bench, config, method, options.repeats)
            rates[method] = known[key]
        print(
            f"{name:<22}" + "".join(f"{_percent(rate):>16}" for rate in rates.values()), flush=True
        )
        rows[name] = {method: rate.attack_success_rate for method, rate in rates.items()}
    keep(bench.clip.weights_sha256, options.repeats, options.images, rows)


def keep(weights: str, repeats: int, images: int, rows: dict[str, dict[str, Any]]) -> None:
    """Add the rows to the kept results, which are begun anew for other weights."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if kept.get("weights_sha256") != weights:
        kept = {"weights_sha256": weights, "rows": {}}
    for name, rates in rows.items():
        kept["rows"][name] = {"repeats": repeats, "images": images, **rates}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def depends_on(config: AttackConfig, method: str) -> tuple[str, ...]:
    """The settings that a method's outcome depends on, for not measuring the same thing twice."""
    shared = (repr(config.mining.words), repr(config.describe), repr(config.draw))
    if method in ("second-order", "random"):
        return (*shared, repr(config.lens), repr(config.text), repr(config.mining))
    return shared


def pooled_rate(bench: Bench, config: AttackConfig, method: str, repeats: int) -> Rate:
    """Counts over all tuning pairs and repeats."""
    return pool(
        bench.trial(config, Cell(pair, method, repeat))
        for pair in config.pairs
        for repeat in range(repeats)
    )


def _percent(rate: Rate) -> str:
    share = rate.attack_success_rate
    return "-" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
