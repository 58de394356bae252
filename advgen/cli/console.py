"""What verbs share: progress on stderr, options that several of them take."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from advgen.config import read_preset
from advgen.errors import ConfigError
from advgen.records import ClassPair


class StderrProgress:
    """Progress of a job on stderr: a live bar on a terminal, one line per stage elsewhere."""

    def __init__(self) -> None:
        shown = os.environ.get("RANK", "0") == "0"  # one of several launched processes tells
        self._console = Console(stderr=True, markup=False, emoji=False, quiet=not shown)
        self._live = self._console.is_terminal
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: Any = None
        self._name, self._started = "", 0.0

    def __enter__(self) -> StderrProgress:
        """Start showing."""
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing."""
        self._close()
        if self._live:
            self._bar.stop()

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        """See `Progress.stage`."""
        self._close()
        self._name, self._started = name, time.monotonic()
        if self._live:
            self._task = self._bar.add_task(name, total=total, completed=done)
        elif done:
            self._console.print(
                f"{name}: {done} of {total} done before", highlight=False, soft_wrap=True
            )

    def advance(self, steps: int = 1) -> None:
        """See `Progress.advance`."""
        if self._task is not None:
            self._bar.advance(self._task, steps)

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        self._console.print(f"note: {message}", highlight=False, soft_wrap=True)

    def _close(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if self._name:
            seconds = time.monotonic() - self._started
            self._console.print(f"{self._name} ({seconds:.1f} s)", highlight=False, soft_wrap=True)
            self._name = ""


def parse_pairs(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[ClassPair, ...]:
    """Click callback: `TRUE:TARGET` texts to pairs, a usage error (exit 2) for anything else."""
    try:
        return tuple(dict.fromkeys(ClassPair.parse(value) for value in values))
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


def pair_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The repeatable `--pair TRUE:TARGET` option."""
    return click.option(
        "--pair",
        "pairs",
        metavar="TRUE:TARGET",
        multiple=True,
        required=True,
        callback=parse_pairs,
        help="Images of TRUE that should be taken for TARGET; repeatable.",
    )(function)


def config_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that replace single settings of a preset: model, layers, images, pool, seed."""
    options = (
        click.option("--preset", default="sandbox", show_default=True, help="Packaged settings."),
        click.option("--model", default=None, help="The attacked CLIP instead of the preset's."),
        click.option(
            "--layers", default=None, callback=_parse_layers, help="MLP layers, e.g. 8,9,10."
        ),
        click.option(
            "--lens-images",
            default=None,
            help="Image set: sandbox:N, a folder, imagenet:DIR, hf:NAME; options after ?.",
        ),
        click.option(
            "--pool",
            default=None,
            help="Text pool: sandbox, words-N, imagenet-descriptions or a text file.",
        ),
        click.option(
            "--seed",
            default=0,
            show_default=True,
            type=click.IntRange(0),
            help="Seed of all draws.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _parse_layers(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> list[int] | None:
    if value is None:
        return None
    numbers = [part.strip() for part in value.split(",")]
    if not all(number.isdecimal() for number in numbers):
        raise click.BadParameter(f"'{value}' is not a list of layers such as 8,9,10")
    return [int(number) for number in numbers]


def preset_table(name: str) -> dict[str, Any]:
    """A preset's table, a usage error (exit 2) when there is none of that name."""
    try:
        return read_preset(name)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="--preset") from error


def settings_table(
    *,
    preset: str,
    model: str | None,
    layers: list[int] | None,
    lens_images: str | None,
    pool: str | None,
    seed: int,
) -> dict[str, Any]:
    """The preset's table with the values of `config_options` that were given put into it."""
    table = preset_table(preset)
    changes = {
        ("model", "name"): model,
        ("lens", "layers"): layers,
        ("lens", "images"): lens_images,
        ("text", "pool"): pool,
    }
    for (section, key), value in changes.items():
        if value is not None:
            table.setdefault(section, {})[key] = value
    return {**table, "seed": seed}


def writable_folder(path: Path) -> Path:
    """The path itself, a usage error (exit 2) when it is a file."""
    if path.is_file():
        raise click.BadParameter(f"{path} is a file", param_hint="--out")
    return path
