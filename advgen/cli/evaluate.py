"""`advgen evaluate`: how robust CLIPs are on a data set; tables, tests, plots, a page, a rank."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advgen.cli.console import StderrProgress, writable_folder

if TYPE_CHECKING:
    from advgen.evaluate.robustness.results import Evaluation

DEFAULT_OUT = Path("runs/evaluations")
_OWN = ("evaluation.json", "evaluation.md", "evaluation.html", "models", "clean")


@click.command()
@click.argument("dataset", metavar="DATASET")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    help="A CLIP: sandbox-a, ARCHITECTURE/TAG, ARCHITECTURE@FILE, hf-hub:NAME, a folder;"
    " repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help=f"Folder of the results  [default: {DEFAULT_OUT}/NAME]",
)
@click.option(
    "--clean",
    default="auto",
    show_default=True,
    help="Labelled image set with the pairs' classes, or none; auto: the sandbox's own for what"
    " the sandbox drew, else none.",
)
@click.option(
    "--batch",
    "batch_size",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Images per pass.",
)
@click.option("--device", default="auto", show_default=True, help="Where the models are put.")
@click.option(
    "--workers",
    default=None,
    type=click.IntRange(0),
    help="Processes that read images ahead  [default: 0 on a CPU, up to 8 beside a GPU]",
)
@click.option(
    "--template",
    "templates",
    multiple=True,
    help="Class prompt with {noun}, instead of the attacks' own; several are averaged.",
)
@click.option(
    "--leaderboard",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file that takes a row per model; its table is written beside it.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Of the intervals over descriptions.",
)
@click.option("--json", "as_json", is_flag=True, help="Print evaluation.json instead of tables.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    dataset: str,
    out: Path | None,
    leaderboard: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Show a data set to CLIPs: success, transfer, tests against the attacked model.

    DATASET is a folder of `advgen dataset build`, or hf:OWNER/NAME. What was scored before is not
    scored again.

    Example: advgen evaluate release --model sandbox-a --model sandbox-b
    """
    _check_dataset(dataset)
    out = _folder(out or DEFAULT_OUT / _name(dataset), dataset)
    _check_leaderboard(leaderboard)
    with StderrProgress() as progress:
        progress.stage("starting")
        from advgen.evaluate.robustness.files import evaluation_json
        from advgen.evaluate.robustness.walk import EvaluationSettings, evaluate_models

        for name in dict.fromkeys(settings["models"]):
            if settings["models"].count(name) > 1:
                progress.note(f"{name} is named twice; it counts once")
        found = evaluate_models(dataset, EvaluationSettings(**settings), out, progress)
        text = evaluation_json(found.evaluation)
        if gone := _no_longer_compared(found.evaluation, out / "evaluation.json"):
            progress.note(
                f"{out} compared {', '.join(gone)} too; their scores are kept there: name them with"
                " --model again to have all in one table"
            )
        progress.stage("writing the tables and figures")
        written = _write(found.evaluation, text, out)
        if leaderboard is not None:
            written += _rank(found.evaluation, leaderboard)
    if as_json:
        click.echo(text, nl=False)
    else:
        _print(found.evaluation, written)
    if found.failures:
        click.echo(f"error: not scored, see above: {', '.join(found.failures)}", err=True)
        ctx.exit(1)


def _check_dataset(dataset: str) -> None:
    """A mistyped folder is found before anything is loaded."""
    from advgen.errors import DataError

    if not dataset.startswith("hf:") and not Path(dataset).expanduser().is_dir():
        raise DataError(
            f"there is no folder {dataset}; make it with: advgen dataset build RUN --out DIR, or "
            "name a published one: hf:OWNER/NAME"
        )


def _name(dataset: str) -> str:
    """A folder's name for a data set: its own, or OWNER-NAME."""
    if dataset.startswith("hf:"):
        return dataset.removeprefix("hf:").partition("@")[0].replace("/", "-")
    return Path(dataset).expanduser().resolve().name


def _folder(out: Path, dataset: str) -> Path:
    from advgen.errors import DataError

    writable_folder(out)
    source = Path(dataset).expanduser().resolve()
    if not dataset.startswith("hf:") and source in out.expanduser().resolve().parents:
        raise DataError(f"{out} lies in the data set, which is not changed; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in _OWN):
        raise DataError(f"{out} holds other things than an evaluation; choose another --out")
    return out


def _check_leaderboard(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix != ".json":
        raise click.BadParameter(
            f"{path} must end in .json; its table becomes .md", param_hint="--leaderboard"
        )
    from advgen.evaluate.robustness.leaderboard import read_leaderboard
    from advgen.store import require_writable

    read_leaderboard(path)
    require_writable(path.parent)


def _no_longer_compared(evaluation: Evaluation, path: Path) -> list[str]:
    """Models of an earlier evaluation of the same data that this one leaves out."""
    import json

    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        names = [model["name"] for model in before["models"]]
        same = before["data"]["fingerprint"] == evaluation.data.fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in names if same and name not in {m.name for m in evaluation.models}]


def _write(evaluation: Evaluation, text: str, out: Path) -> list[Path]:
    """The Markdown, pictures and page; the JSON last, so that it stands for all of them."""
    from advgen.evaluate.robustness.tables import markdown
    from advgen.evaluation_page import evaluation_html
    from advgen.evaluation_plots import margin_distributions, success_bars, transfer_heatmap
    from advgen.experiment_plots import figure_of
    from advgen.experiments.output import write_figure
    from advgen.store import write_atomic

    pages = {"evaluation.md": markdown(evaluation), "evaluation.html": evaluation_html(evaluation)}
    for name, page in pages.items():
        write_atomic(out / name, page)
    written = [out / name for name in pages]
    for draw in (success_bars, margin_distributions, transfer_heatmap):
        path = out / f"{draw.__name__}.png"
        write_figure(path, figure_of(draw(evaluation)))
        written.append(path)
    write_atomic(out / "evaluation.json", text)
    return [*written, out / "evaluation.json"]


def _rank(evaluation: Evaluation, path: Path) -> list[Path]:
    from advgen.evaluate.robustness.leaderboard import leaderboard_rows, update_leaderboard

    return [path, update_leaderboard(path, leaderboard_rows(evaluation))]


def _print(evaluation: Evaluation, written: list[Path]) -> None:
    from rich.console import Console
    from rich.table import Table

    from advgen.evaluate.robustness.notes import notes
    from advgen.evaluate.robustness.tables import tables

    console = Console(markup=False, emoji=False)
    for found in tables(evaluation):
        table = Table(
            title=found.title, title_justify="left", box=None, pad_edge=False, header_style="bold"
        )
        for number, name in enumerate(found.header):
            table.add_column(name, justify="right" if number else "left", no_wrap=True)
        for row in found.rows:
            table.add_row(*row)
        width = max(console.width, sum(_widest(found, n) + 2 for n in range(len(found.header))))
        Console(width=width, markup=False, emoji=False).print(table)
    for text in notes(evaluation):
        console.print(text, highlight=False, soft_wrap=True)
    for path in written:
        click.echo(f"wrote {path}")


def _widest(table: Any, column: int) -> int:
    return max(len(row[column]) for row in (table.header, *table.rows))
