"""`advgen pool`: the texts that neurons are described with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from advgen.cli.console import StderrProgress

_FIRST = 5


def _text_path(_context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    if value.suffix != ".txt":
        raise click.BadParameter(f"{value} does not end in .txt")
    if value.is_dir():
        raise click.BadParameter(f"{value} is a folder")
    return value


@click.group()
def pool() -> None:
    """Text pools: have a chat model describe classes, look at a pool."""


@pool.command()
@click.option(
    "--classes",
    required=True,
    metavar="NAMES",
    help='imagenet, a text file with one name per line, or "cat,dog".',
)
@click.option(
    "--llm",
    required=True,
    metavar="SPEC",
    help="openai:MODEL@BASE_URL or llama:ID_OR_FOLDER.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    callback=_text_path,
    help="Text file to write; .json and .jsonl lie beside it.",
)
@click.option(
    "--per-class", default=30, show_default=True, type=click.IntRange(1, 500), help="Descriptions."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option(
    "--rounds",
    default=3,
    show_default=True,
    type=click.IntRange(1),
    help="How often a class is asked for while some are missing.",
)
@click.option("--temperature", default=0.7, show_default=True, type=click.FloatRange(0, 2))
@click.option(
    "--thinking-tokens",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Further tokens for a model that thinks before it answers.",
)
@click.option(
    "--timeout",
    default=180.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds that a server may take for one answer.",
)
@click.option("--device", default="auto", show_default=True, help="Of a llama: model.")
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="Of a llama: model.",
)
@click.option("--dry-run", is_flag=True, help="Print the first question and ask nobody.")
def describe(
    classes: str,
    llm: str,
    out: Path,
    timeout: float,
    device: str,
    dtype: str,
    dry_run: bool,
    **settings: Any,
) -> None:
    """Make a text pool: a chat model describes classes.

    May be stopped at any time; the same command continues. A key for the server is read from
    OPENAI_API_KEY and written nowhere.

    Example: advgen pool describe --classes "cat,dog" --llm openai:llama3@http://localhost:11434/v1
    --out pets.txt
    """
    from advgen.chat import ChatOptions, load_chat, load_prompt
    from advgen.text.description_file import DescriptionJob, left_to_ask, run_job
    from advgen.text.descriptions import PROMPT, DescribeSettings
    from advgen.text.pools import class_names

    job = DescriptionJob(
        out=out,
        classes=class_names(classes),
        llm=llm,
        prompt=load_prompt(PROMPT),
        settings=DescribeSettings(**settings),
    )
    left = left_to_ask(job)
    if dry_run:
        _print_question(job, left)
        return
    with StderrProgress() as progress:
        progress.stage("describing classes", total=len(job.classes), done=len(job.classes) - left)
        result = run_job(
            job,
            lambda: load_chat(llm, ChatOptions(device=device, dtype=dtype, timeout=timeout)),
            on_class=lambda _done: progress.advance(),
        )
        _note_missing(progress, "gave nothing; the same command asks again", result.silent)
        _note_missing(progress, f"gave fewer than {job.settings.per_class}", result.short)
    click.echo(f"{job.out}: {result.texts} descriptions of {len(job.classes)} classes")


@pool.command()
@click.argument("spec")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(spec: str, as_json: bool) -> None:
    """Print size, digest, first texts and notes.

    SPEC is sandbox, words-N, words-Nk, imagenet-descriptions or a text file.
    """
    from advgen.text.pools import load_pool

    found = load_pool(spec)
    if as_json:
        values = {"name": found.name, "texts": len(found.texts), "sha256": found.sha256}
        click.echo(json.dumps({**values, "first": found.texts[:_FIRST], "notes": found.notes}))
        return
    click.echo(f"{found.name}: {len(found.texts)} texts, sha256 {found.sha256}")
    for text in found.texts[:_FIRST]:
        click.echo(f"  {text}")
    for note in found.notes:
        click.echo(f"note: {note}", err=True)


def _print_question(job: Any, left: int) -> None:
    for message in job.prompt.messages(
        class_name=job.classes[0], count=job.settings.per_class, known=()
    ):
        click.echo(f"[{message.role}]\n{message.content}\n")
    click.echo(f"{left} of {len(job.classes)} classes would be asked for", err=True)


def _note_missing(progress: StderrProgress, what: str, names: tuple[str, ...]) -> None:
    if names:
        shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        progress.note(f"{len(names)} classes {what}: {shown}")
