"""`advgen dataset`: runs as a dataset to release, checked, exported and pushed."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import click

from advgen.cli.console import StderrProgress, writable_folder

ELSEWHERE = {
    "push": "advgen.cli.dataset_push:push",
    "export": "advgen.cli.dataset_export:export",
    "import": "advgen.cli.dataset_export:import_decisions",
}
"""Verbs that stand in files of their own, imported when they are used."""
HELP = {
    "push": "Upload a built dataset to the Hugging Face Hub.",
    "export": "Write a built dataset in the format of another tool.",
    "import": "Read decisions of people from another tool.",
}


class DatasetGroup(click.Group):
    """The verbs of this file, and those that stand in files of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the verbs."""
        return [*self.commands, *ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a verb; import it where it stands elsewhere."""
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = ELSEWHERE[cmd_name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        own = [(name, verb.get_short_help_str(80)) for name, verb in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *HELP.items()])


@click.group(cls=DatasetGroup)
def dataset() -> None:
    """Runs as a dataset to release: build, verify, push, export, import decisions."""


@dataset.command()
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--name", default=None, help="Name on the card  [default: that of the folder]")
@click.option(
    "--include-unverified",
    is_flag=True,
    help="Take in images that nobody verified (not the rejected ones); the card says so.",
)
@click.option("--only-fooled", is_flag=True, help="Only images that fooled the attacked model.")
@click.option(
    "--decisions",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="People's decisions beside RUN/decisions.jsonl; may be given several times.",
)
@click.option(
    "--near",
    default=4,
    show_default=True,
    type=click.IntRange(-1, 63),
    help="Bits of 64 in which perceptual hashes of near duplicates differ; -1: only equal files.",
)
@click.option("--configs", is_flag=True, help="One config per pair instead of a single one.")
@click.option("--licence", default=None, help="Licence of the images, where it is not known.")
@click.option("--licence-link", default=None, help="Where that licence can be read.")
@click.option(
    "--date",
    "created_at",
    default=None,
    help="Date of the build  [default: SOURCE_DATE_EPOCH if set, else none]",
)
@click.option("--seed", default=0, show_default=True, help="Of the sample that verify draws.")
@click.option("--overwrite", is_flag=True, help="Replace a dataset; what people wrote is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
def build(
    runs: tuple[Path, ...],
    out: Path,
    name: str | None,
    include_unverified: bool,
    only_fooled: bool,
    decisions: tuple[Path, ...],
    near: int,
    configs: bool,
    licence: str | None,
    licence_link: str | None,
    created_at: str | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make a dataset of finished runs: verified images, without duplicates, with a card.

    Example: advgen dataset build runs/dog-deer runs/cat-fox --out release
    """
    from advgen.dataset import BuildSettings, build_dataset

    settings = BuildSettings(
        name=name,
        include_unverified=include_unverified,
        only_fooled=only_fooled,
        decisions=decisions,
        near=None if near < 0 else near,
        per_pair=configs,
        licence=licence,
        licence_link=licence_link,
        created_at=created_at,
        seed=seed,
        overwrite=overwrite,
    )
    with StderrProgress() as progress:
        report = build_dataset(runs, writable_folder(out), settings, progress)
    if as_json:
        counts = report.build["counts"]
        click.echo(json.dumps({"root": str(report.root), **counts}, indent=1, sort_keys=True))
        return
    for reason, count in report.dropped.items():
        click.echo(f"left out  {count}  {reason}")
    click.echo(f"licence   {report.licence.name}")
    click.echo(f"images    {report.rows}")
    click.echo(f"dataset   {report.root}")


@dataset.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--sample",
    default=32,
    show_default=True,
    type=click.IntRange(0),
    help="Images to score and draw again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(ctx: click.Context, folder: Path, sample: int, as_json: bool) -> None:
    """Check a dataset: hashes, schema, duplicates, counts, margins, card; exit 1 on a fault."""
    from advgen.dataset.verify import verify_dataset

    verdict = verify_dataset(folder, sample=sample)
    if as_json:
        click.echo(json.dumps(verdict.to_json(), indent=1))
    else:
        for found in verdict.findings:
            click.echo(f"{found.outcome:<12} {found.check:<11} {found.detail}")
    if not verdict.passed:
        ctx.exit(1)
