"""`advgen dataset export` and `advgen dataset import`: other tools' formats, there and back."""

from __future__ import annotations

import json
from pathlib import Path

import click

from advgen.records import ClassPair

EXPORT_FORMATS = (
    "imagefolder",
    "parquet",
    "clip-benchmark",
    "fiftyone",
    "label-studio",
    "argilla",
    "csv",
)
IMPORT_FORMATS = ("label-studio", "csv", "jsonl")
_SHOWN = 5


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--format", "form", required=True, type=click.Choice(EXPORT_FORMATS))
@click.option(
    "--out", required=True, metavar="DIR2", type=click.Path(path_type=Path), help="New folder."
)
@click.option("--pair", "pairs", multiple=True, metavar="TRUE:TARGET", help="Only these pairs.")
@click.option("--name", default=None, help="Of the data set.  [default: the folder's name]")
@click.option(
    "--template",
    "templates",
    multiple=True,
    help='clip-benchmark: class prompt, e.g. "a photo of {article} {noun}."; repeatable.  '
    "[default: the attack's]",
)
@click.option(
    "--by-pair", is_flag=True, help="clip-benchmark: a folder per pair, two classes each."
)
@click.option(
    "--suggestions/--no-suggestions",
    default=True,
    show_default=True,
    help="label-studio, argilla: show people what judges said.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in DIR2.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(
    folder: Path,
    form: str,
    out: Path,
    pairs: tuple[str, ...],
    name: str | None,
    templates: tuple[str, ...],
    by_pair: bool,
    suggestions: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a built dataset in another tool's format.

    label-studio, argilla and csv also take a run directory that is yet to be reviewed.

    Example: advgen dataset export dogs --format clip-benchmark --out dogs-wds
    """
    from advgen.exports import ExportOptions, export_dataset, open_source

    source = open_source(folder)
    if pairs:
        source = source.only([ClassPair.parse(pair) for pair in pairs])
    for template in templates:
        if "{noun}" not in template and "{}" not in template:
            raise click.BadParameter(f"'{template}' has no {{noun}}", param_hint="--template")
    options = ExportOptions(
        name=name or folder.resolve().name,
        templates=templates,
        by_pair=by_pair,
        suggestions=suggestions,
    )
    report = export_dataset(source, form, out, options=options, overwrite=overwrite)
    if as_json:
        values = {"format": form, "out": str(out), "rows": report.rows}
        click.echo(json.dumps({**values, "files": list(report.files)}))
        return
    click.echo(f"{out}: {report.rows} images as {form}, {len(report.files)} files")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", required=True, type=click.Choice(IMPORT_FORMATS))
@click.option(
    "--run",
    required=True,
    type=click.Path(path_type=Path),
    help="Run (or built dataset) that the images are of.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="File to write.  [default: RUN/decisions.jsonl]",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier decisions.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_decisions(
    file: Path, form: str, run: Path, out: Path | None, overwrite: bool, as_json: bool
) -> None:
    """Read what people decided in another tool; `advgen dataset build` uses it.

    Example: advgen dataset import project-1.json --format label-studio --run runs/dog-deer
    """
    from advgen.decisions import write_rows
    from advgen.errors import ConfigError, DataError
    from advgen.exports import open_source, read_import

    out = out or run / "decisions.jsonl"
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} is there already; choose another --out, or add --overwrite")
    report = read_import(file, form, open_source(run).identities())
    found = report.to_json()
    if not report.decisions:
        _say(found)
        raise DataError(f"{file} holds no decision on an image of {run}; nothing was written")
    write_rows(report.decisions, out)
    if as_json:
        click.echo(json.dumps({**found, "out": str(out)}))
        return
    counts = ", ".join(f"{count} {status}" for status, count in found["decisions"].items())
    click.echo(f"{out}: {len(report.decisions)} decisions out of {report.read} votes ({counts})")
    _say(found)


def _say(found: dict) -> None:
    """One line on stderr for each kind of entry that was not simply used."""
    told = {
        "problems": "entries could not be read",
        "unknown": "ids are not in the run",
        "stale": "ids have another image now; their votes were left out",
        "repeated": "ids have several votes by one reviewer; the last counts",
        "contradicting": "ids have votes that differ",
    }
    for key, text in told.items():
        if found[key]:
            shown = "; ".join(found[key][:_SHOWN]) + (" ..." if len(found[key]) > _SHOWN else "")
            click.echo(f"note: {len(found[key])} {text}: {shown}", err=True)
    for key, text in {"cancelled": "were skipped by people", "empty": "have no answer"}.items():
        if found[key]:
            click.echo(f"note: {found[key]} entries {text}", err=True)
