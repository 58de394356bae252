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
from typing import Any

import click

from advgen.attack import run_attack
from advgen.cli.console import StderrProgress
from advgen.config import AttackConfig, attack_table
from advgen.dataset import BuildSettings, build_dataset
from advgen.errors import AdvgenError
from advgen.evaluate.robustness.files import evaluation_json
from advgen.evaluate.robustness.tables import markdown
from advgen.evaluate.robustness.walk import EvaluationSettings, evaluate_models
from advgen.evaluation_plots import transfer_heatmap
from advgen.experiment_plots import figure_of
from advgen.experiments.output import write_figure
from advgen.experiments.paper import TABLE_3_PAIRS
from advgen.store import ArtifactStore, canonical_json, default_store_root, write_atomic
from benchmarks.attack_options import attack_parser, chosen_config

MODELS = ("sandbox-a", "sandbox-b", "sandbox-c")


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = attack_parser(__doc__)
    add = parser.add_argument
    add("--attacked", action="append", help="model that images are made against; repeatable")
    add("--model", action="append", help="model that looks at them; repeatable")
    add("--name", default="transfer", help="stem of the files and folders")
    return parser.parse_args()


def make_config(options: argparse.Namespace, model: str) -> AttackConfig:
    """The attack on one model."""
    return chosen_config(
        options, [f"model.name={model}"], pairs=list(TABLE_3_PAIRS), repeats=options.repeats
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
    # not `write_result`: six decimals would make a small p value 0
    write_atomic(options.out / f"{options.name}.json", canonical_json(result, indent=1) + "\n")
    write_figure(options.out / f"{options.name}.png", figure_of(transfer_heatmap(found.evaluation)))
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
