"""What verbs share: progress on stderr, checks of what they are given."""

from __future__ import annotations

import os
import time
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

from advgen.config import AttackConfig

TOLD_EVERY = 15.0
"""Seconds between two lines about a long stage where there is no terminal."""


class StderrProgress:
    """Progress of a job on stderr: a live bar on a terminal, lines elsewhere."""

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
        self._total, self._done, self._before, self._told = 0, 0, 0, 0.0

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
        self._total, self._done, self._before = total or 0, done, done
        self._told = self._started
        if self._live:
            self._task = self._bar.add_task(name, total=total, completed=done)
        elif done:
            self._console.print(
                f"{name}: {done} of {total} done before", highlight=False, soft_wrap=True
            )

    def advance(self, steps: int = 1) -> None:
        """See `Progress.advance`."""
        self._done += steps
        if self._task is not None:
            self._bar.advance(self._task, steps)
        elif self._total and time.monotonic() - self._told >= TOLD_EVERY:
            self._told = time.monotonic()
            self._console.print(
                f"{self._name}: {self._done} of {self._total}, {self._left()} left",
                highlight=False,
                soft_wrap=True,
            )

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        self._console.print(f"note: {message}", highlight=False, soft_wrap=True)

    def _left(self) -> str:
        """About how long the stage will go on at the pace so far."""
        pace = (time.monotonic() - self._started) / max(1, self._done - self._before)
        seconds = pace * (self._total - self._done)
        return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"

    def _close(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if self._name:
            seconds = time.monotonic() - self._started
            self._console.print(f"{self._name} ({seconds:.1f} s)", highlight=False, soft_wrap=True)
            self._name = ""


def with_world_names(config: AttackConfig, progress: StderrProgress) -> AttackConfig:
    """The config with classes as the synthesizer's world calls them; says what was renamed."""
    from advgen.attack.classes import in_world

    config, notes = in_world(config)
    for note in notes:
        progress.note(note)
    return config


def check_world_words(model: str, text: str) -> None:
    """Refuse words that a sandbox CLIP does not know; other models read any text.

    Raises:
        ConfigError: If there is such a word; near ones are suggested.
    """
    from advgen import registry
    from advgen.errors import ConfigError

    if model not in registry.names("clip"):
        return
    phrases = registry.resolve("pool", "sandbox")()
    known = {word for phrase in phrases for word in phrase.split()}
    for word in text.lower().split():
        if word not in known:
            close = registry.closest(word, sorted(known))
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise ConfigError(
                f"{model} does not know the word '{word}': {hint}`advgen pool show sandbox` lists "
                "all that it knows"
            )


def writable_folder(path: Path) -> Path:
    """The path itself, a usage error (exit 2) when it is a file."""
    if path.is_file():
        raise click.BadParameter(f"{path} is a file", param_hint="--out")
    return path
