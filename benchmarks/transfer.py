"""Images made against each sandbox CLIP, built into one data set, shown to all of them.

    python -m benchmarks.transfer                                   # about six minutes on 2 cores
    python -m benchmarks.transfer --attacked sandbox-a --model sandbox-a --model sandbox-b
    python -m benchmarks.transfer --set describe.rounds=5 --name transfer_rounds

For every attacked model one run of the preset (the paper's five pairs), then `advgen dataset build`
over the runs, then `advgen evaluate`. Killed and started again it goes on where it stopped. Writes
transfer.json and transfer.png into benchmarks/results (--out).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import click

from advgen.attack import run_attack
from advgen.cli.console import StderrProgress
from advgen.cli.settings import parse_change, with_change
from advgen.config import AttackConfig, attack_config, attack_table, read_preset
from advgen.dataset import BuildSettings, build_dataset
from advgen.errors import AdvgenError
from advgen.evaluate.robustness.files import evaluation_json
from advgen.evaluate.robustness.tables import markdown
from advgen.evaluate.robustness.walk import EvaluationSettings, evaluate_models
from advgen.evaluation_plots import transfer_heatmap
from advgen.experiment_plots import figure_of
from advgen.experiments.output import write_result
from advgen.experiments.paper import TABLE_3_PAIRS
from advgen.store import ArtifactStore, default_store_root
from benchmarks.experiment import RESULTS

MODELS = ("sandbox-a", "sandbox-b", "sandbox-c")


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--preset", default="sandbox", help="sandbox (default), paper or paper-flux")
    add("--attacked", action="append", help="model that images are made against; repeatable")
    add("--model", action="append", help="model that looks at them; repeatable")
    add("--images", type=int, default=100, help="per pair, attacked model and repeat (100)")
    add("--repeats", type=int, default=3, help="repeats with other draws (3)")
    add("--seed", type=int, default=0)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of the preset")
    add("--runs", type=Path, default=Path("runs"), help="folder of runs, data set and scores")
    add("--out", type=Path, default=RESULTS, help="folder of the JSON and PNG (benchmarks/results)")
    add("--name", default="transfer", help="stem of the files and folders")
    return parser.parse_args()


def make_config(options: argparse.Namespace, model: str) -> AttackConfig:
    """The attack on one model."""
    table = read_preset(options.preset)
    for text in (f"model.name={model}", *options.set):
        table = with_change(table, *parse_change(text))
    return attack_config(
        {
            **table,
            "pairs": list(TABLE_3_PAIRS),
            "images": options.images,
            "repeats": options.repeats,
            "seed": options.seed,
        }
    )


def folder_of(name: str) -> str:
    """A model's name as part of a folder's."""
    return "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in name)


def measure(options: argparse.Namespace, progress: StderrProgress) -> dict[str, Any]:
    """Attack, build, evaluate, print."""
    attacked = options.attacked or list(MODELS)
    evaluated = options.model or list(MODELS)
    base = options.runs / f"{options.name}-s{options.seed}"
    runs = []
    for model in attacked:
        runs.append(base / folder_of(model))
        store = ArtifactStore(default_store_root())
        run_attack(make_config(options, model), runs[-1], store, progress)
    progress.stage("building the data set")
    report = build_dataset(
        runs, base / "dataset", BuildSettings(overwrite=True, name=options.name), progress
    )
    settings = EvaluationSettings(models=tuple(evaluated), seed=options.seed)
    found = evaluate_models(str(report.root), settings, base / "evaluation", progress)
    print(markdown(found.evaluation))
    counts = report.build["counts"]
    result = {
        "config": attack_table(make_config(options, attacked[0])),
        "dataset": {"rows": counts["rows"], "dropped": counts["dropped"]},
        "evaluation": without_rows(json.loads(evaluation_json(found.evaluation))),
    }
    write_result(options.out, options.name, result, figure_of(transfer_heatmap(found.evaluation)))
    return result


def without_rows(evaluation: dict[str, Any]) -> dict[str, Any]:
    """An evaluation without what it says of every single row."""
    models = [
        {key: value for key, value in model.items() if key != "margins"}
        for model in evaluation["models"]
    ]
    return {key: value for key, value in evaluation.items() if key != "rows"} | {"models": models}


def main() -> None:
    """Measure and keep; a fault that the user can fix is one line."""
    options = parse_options()
    try:
        with StderrProgress() as progress:
            measure(options, progress)
    except (AdvgenError, click.BadParameter) as error:
        sys.exit(f"benchmarks.transfer: {error}")


if __name__ == "__main__":
    main()
