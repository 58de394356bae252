"""What verbs share: progress on stderr, options that several of them take."""

from __future__ import annotations

import sys
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
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
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
            self._console.print(f"{name}: {done} of {total} done before", highlight=False)

    def advance(self, steps: int = 1) -> None:
        """See `Progress.advance`."""
        if self._task is not None:
            self._bar.advance(self._task, steps)

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        self._console.print(f"note: {message}", highlight=False, markup=False)

    def _close(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if self._name:
            seconds = time.monotonic() - self._started
            self._console.print(f"{self._name} ({seconds:.1f} s)", highlight=False, markup=False)
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


def preset_table(name: str) -> dict[str, Any]:
    """A preset's table, a usage error (exit 2) when there is none of that name."""
    try:
        return read_preset(name)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="--preset") from error


def merge(table: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The table with dotted keys set where the value is not None (`text_pool` sets `text.pool`)."""
    merged = {
        key: dict(value) if isinstance(value, dict) else value for key, value in table.items()
    }
    for key, value in changes.items():
        if value is None:
            continue
        section, dot, name = key.partition("__")
        if dot:
            merged.setdefault(section, {})[name] = value
        else:
            merged[section] = value
    return merged


def writable_folder(path: Path) -> Path:
    """The path itself, a usage error (exit 2) when it is a file."""
    if path.is_file():
        raise click.BadParameter(f"{path} is a file", param_hint="--out")
    return path


def fail(message: str) -> None:
    """One line on stderr and exit code 1."""
    click.echo(f"advgen: {message}", err=True)
    sys.exit(1)
