"""The sandbox's figures: the world, its CLIPs, the attack's cost.

    python -m benchmarks.sandbox                 # everything, prints and keeps results/sandbox.json
    python -m benchmarks.sandbox --part models   # world | models | cost
    python -m benchmarks.sandbox --docs          # rewrite docs/sandbox.md from the kept results

How the attack's methods compare is measured by `benchmarks.closed_loop --pairs scored` (and, in the
paper's form, by `benchmarks.table3`); the page shows that too. The bars beside the figures are the
design's; a figure that misses its bar says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.sandbox_docs import write_docs
from benchmarks.sandbox_parts import cost, models, world

RESULTS = Path(__file__).parent / "results" / "sandbox.json"
PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "world": world,
    "models": models,
    "cost": cost,
}


def main() -> None:
    """Measure the chosen parts and keep what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; repeatable")
    parser.add_argument("--docs", action="store_true", help="rewrite docs/sandbox.md")
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    parts = options.part or ([] if options.docs else list(PARTS))
    for name in parts:
        print(f"\n== {name}")
        kept[name] = PARTS[name]()
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if options.docs:
        print(write_docs(kept))


if __name__ == "__main__":
    main()
