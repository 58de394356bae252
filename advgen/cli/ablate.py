"""`advgen ablate`: how much of the accuracy rests on second-order effects (Fig. 3)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advgen.cli.console import StderrProgress, writable_folder
from advgen.cli.neuron_options import lens_parameters

if TYPE_CHECKING:
    from advgen.experiments import ExperimentConfig

NAME = "ablation"


@click.command(params=lens_parameters("pool"))
@click.option("--images", help="Labelled image set that accuracy is measured on.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for ablation.json and .png.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def ablate(out: Path | None, as_json: bool, preset: str, **settings: Any) -> None:
    """Accuracy when second-order effects are ablated, by layer and all together.

    Example: advgen ablate --layers 3,4 --out ablation
    """
    if out is not None:
        writable_folder(out)
    config = _config(preset, settings)
    with StderrProgress() as progress:
        progress.stage("starting")
        from advgen.experiments import open_subject
        from advgen.experiments.ablation_report import ablation_result, print_ablation
        from advgen.experiments.mean_ablation import mean_ablation
        from advgen.experiments.output import result_json
        from advgen.store import ArtifactStore, default_store_root

        subject = open_subject(config, ArtifactStore(default_store_root()), progress)
        found = mean_ablation(subject)
        result = ablation_result(subject, found)
        written = [] if out is None else _write(out, result, found, progress)
    if as_json:
        click.echo(result_json(result), nl=False)
        return
    print_ablation(subject, found)
    for path in written:
        click.echo(f"wrote {path}")


def _config(preset: str, settings: dict[str, Any]) -> ExperimentConfig:
    from advgen.errors import ConfigError
    from advgen.experiments import experiment_preset

    try:
        experiment_preset(preset)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="--preset") from error
    layers = settings.pop("layers")
    return experiment_preset(preset, layers=None if layers is None else tuple(layers), **settings)


def _write(out: Path, result: dict[str, Any], found: Any, progress: Any) -> list[Path]:
    from advgen.experiment_plots import ablation_bars, figure_of
    from advgen.experiments.output import write_result

    progress.stage("writing")
    return write_result(out, NAME, result, figure_of(ablation_bars(found)))
