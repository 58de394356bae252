"""What the benchmarks of the paper's neuron experiments share: options, opening, faults."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from advgen.cli.console import StderrProgress
from advgen.config import ATOMS, TREATMENTS
from advgen.errors import AdvgenError
from advgen.experiments import ExperimentConfig, Subject, experiment_preset, open_subject
from advgen.store import ArtifactStore, default_store_root
from advgen.text.solvers import SOLVERS

RESULTS = Path(__file__).parent / "results"


def experiment_parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every experiment takes; what is not given stays as the preset has it."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    add = parser.add_argument
    add("--preset", default="sandbox", help="sandbox (default) or paper")
    add("--model", help="name, folder or file of a CLIP")
    add("--images", help="labelled image set that accuracy is measured on")
    add("--limit", type=_positive, help="only the first N of these")
    add("--lens-images", help="image set of directions, means and thresholds")
    add("--layers", type=_layers, help="MLP layers, e.g. 8,9,10")
    add("--treatment", choices=TREATMENTS, help="of the layer norm's mean")
    add("--top-images", type=_positive, help="images that a direction is fitted to")
    add("--pool", action="append", help="text pool; repeatable where several are compared")
    add("--nonzeros", type=_positive, help="words per neuron")
    add("--atoms", choices=ATOMS, help="treatment of the pool's embeddings")
    add("--solver", choices=SOLVERS, help="of the sparse codes")
    add("--device", help="torch device (default: an accelerator if there is one)")
    add("--batch", type=_positive, help="images per pass of the tower")
    add("--workers", type=int, help="processes that read images ahead")
    add("--seed", type=int, help="of everything that is drawn")
    add("--out", type=Path, default=RESULTS, help="folder of the JSON and PNG (benchmarks/results)")
    return parser


def experiment_config(options: argparse.Namespace) -> ExperimentConfig:
    """The config that the options make.

    Raises:
        ConfigError: If a value cannot be used.
    """
    names = ("model", "images", "lens_images", "layers", "treatment", "top_images", "nonzeros")
    names += ("atoms", "solver", "device", "workers", "seed")
    given: dict[str, Any] = {name: getattr(options, name) for name in names}
    given["batch_size"] = options.batch
    given["pool"] = options.pool[0] if options.pool else None
    config = experiment_preset(options.preset, **given)
    if options.limit is None:
        return config
    mark = "&" if "?" in config.images else "?"
    given["images"] = f"{config.images}{mark}limit={options.limit}"
    return experiment_preset(options.preset, **given)


def run_experiment(
    parser: argparse.ArgumentParser, body: Callable[[Subject, argparse.Namespace], None]
) -> None:
    """Parse, open the subject, do the experiment; a fault that the user can fix is one line."""
    options = parser.parse_args()
    try:
        config = experiment_config(options)
        with StderrProgress() as progress:
            subject = open_subject(config, ArtifactStore(default_store_root()), progress)
            body(subject, options)
    except AdvgenError as error:
        sys.exit(f"{parser.prog}: {error}")


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return int(text)


def _layers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of layers such as 8,9,10")
    return tuple(int(part) for part in parts)
