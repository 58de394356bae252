"""`advgen review`: people look at the images of runs, on a local page."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advgen.errors import ConfigError

if TYPE_CHECKING:
    from advgen.review.agreement import Agreement
    from advgen.review.export import Format
    from advgen.review.store import ReviewStore


@click.command()
@click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--reviewer", default=None, metavar="NAME", help="Who reviews; else the page asks for a name."
)
@click.option(
    "--db",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File that holds the votes.  [default: RUN/review.sqlite; needed for several runs]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=0,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0: a free one.",
)
@click.option(
    "--double",
    default=None,
    type=click.FloatRange(0.0, 1.0),
    help="Share of images that every reviewer is asked about.  [default: as before, or 0.1]",
)
@click.option(
    "--export", is_flag=True, help="Write decisions to RUN/decisions.jsonl (or --out) and stop."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File for --export.",
)
@click.option(
    "--format",
    "format",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    default=None,
    help="Of --out.  [default: as its name says, or jsonl]",
)
@click.option("--agreement", is_flag=True, help="Print how far reviewers agree and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def review(
    runs: tuple[Path, ...],
    reviewer: str | None,
    db: Path | None,
    host: str,
    port: int,
    double: float | None,
    export: bool,
    out: Path | None,
    format: Format | None,
    agreement: bool,
    as_json: bool,
) -> None:
    """Have people look at images: the true class should be visible, the target class not.

    Starts a page on this machine and prints its address; Ctrl-C ends it, the same command goes on.
    Every vote is on disk when the page shows the next image.

    Example: advgen review runs/dog-deer-second-order-s0
    """
    if (out or format) and not export:
        raise click.UsageError("--out and --format belong to --export")
    if format not in (None, "jsonl") and out is None:
        raise click.UsageError(f"name the {format} file with --out")
    from advgen.review.store import ReviewStore
    from advgen.review.votes import checked_reviewer

    reviewer = reviewer and checked_reviewer(reviewer)
    with ReviewStore.open(database_of(runs, db), runs, double=double) as store:
        if not (export or agreement):
            serve(store, host, port, reviewer)
            return
        shown: dict[str, object] = {}
        if export:
            shown["files"] = export_decisions(store, runs, out, format)
        if agreement:
            shown["agreement"] = store.agreement()
        show(shown, as_json)


def database_of(runs: Sequence[Path], db: Path | None) -> Path:
    """The file of a review: the one that is named, or the run's own."""
    from advgen.generation.layout import RunLayout

    if db is not None:
        return db
    if len(runs) > 1:
        raise click.UsageError("several runs share one review: name its file with --db")
    return RunLayout(runs[0]).votes


def export_decisions(
    store: ReviewStore, runs: Sequence[Path], out: Path | None, format: Format | None
) -> dict[str, int]:
    """Write the decisions to one file, or beside each run; how many went into which file."""
    from advgen.generation.layout import RunLayout
    from advgen.review.export import format_of, write_decisions

    if out is not None:
        decisions = store.decisions()
        write_decisions(decisions, out, format or format_of(out))
        return {str(out): len(decisions)}
    written = {}
    for run in runs:
        path = RunLayout(run).decisions
        decisions = store.decisions(run)
        write_decisions(decisions, path)
        written[str(path)] = len(decisions)
    return written


def show(shown: dict[str, Any], as_json: bool) -> None:
    """Print what was exported and how far reviewers agree."""
    if as_json:
        click.echo(json.dumps(shown, default=dataclasses.asdict))
        return
    files = shown.get("files")
    for path, count in files.items() if isinstance(files, dict) else ():
        click.echo(f"{count} decisions {path}")
    if "agreement" in shown:
        print_agreement(shown["agreement"])


def print_agreement(found: Agreement) -> None:
    """The agreement as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    if not found.reviewers:
        click.echo("no image has votes of two reviewers yet")
        return
    click.echo(f"reviewers: {', '.join(found.reviewers)}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("question")
    for name in ("images", "votes", "agree", "Cohen", "Fleiss", "alpha", "95 % interval"):
        table.add_column(name, justify="right")
    for row in found.questions:
        interval = "-" if row.interval is None else "{:.2f} - {:.2f}".format(*row.interval)
        numbers = (_number(value) for value in (row.cohen, row.fleiss, row.alpha))
        percent = "-" if row.percent is None else f"{row.percent:.1%}"
        table.add_row(row.question, str(row.images), str(row.votes), percent, *numbers, interval)
    Console(width=max(100, Console().width)).print(table)


def serve(store: ReviewStore, host: str, port: int, reviewer: str | None) -> None:
    """Serve the page until it is interrupted; prints the address once it listens."""
    import uvicorn

    from advgen.review.app import create_app
    from advgen.review.heatmaps import Heatmaps

    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    listening = listen(host, port)
    config = uvicorn.Config(
        create_app(store, token=token, reviewer=reviewer, heatmap=Heatmaps()),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    click.echo(f"review at {address(host, listening.getsockname()[1], token)}")
    if token is not None:
        click.echo("whoever has this address can vote; it is not shown again", err=True)
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port} ({error}); name another --host or --port"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def address(host: str, port: int, token: str | None) -> str:
    """What to open in a browser: the machine's name where it listens on all addresses."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
