"""Options that say which classes are attacked: single pairs, a file of them, or all of a list."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from advgen.errors import ConfigError
from advgen.records import ClassPair


def pair_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--pair`, `--pairs-file` and `--classes`; the verb gets all of them as `pairs`."""

    @functools.wraps(function)
    def verb(
        *args: Any,
        pairs: tuple[str, ...],
        pairs_file: Path | None,
        classes: str | None,
        **others: Any,
    ) -> Any:
        found = (*parse_pairs(pairs), *read_pairs(pairs_file), *ordered_pairs(classes))
        if not found:
            raise click.UsageError(
                "name what to attack: --pair TRUE:TARGET, --pairs-file FILE or --classes A,B,C"
            )
        return function(*args, pairs=tuple(dict.fromkeys(found)), **others)

    options = (
        click.option(
            "--pair",
            "pairs",
            metavar="TRUE:TARGET",
            multiple=True,
            help="Images of TRUE that should be taken for TARGET; repeatable.",
        ),
        click.option(
            "--pairs-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            default=None,
            help="File with a TRUE:TARGET on each line; # starts a comment.",
        ),
        click.option(
            "--classes",
            metavar="A,B,...",
            default=None,
            help="All ordered pairs of these classes.",
        ),
    )
    for option in reversed(options):
        verb = option(verb)
    return verb


def parse_pairs(texts: tuple[str, ...]) -> Iterator[ClassPair]:
    """`TRUE:TARGET` texts to pairs, a usage error (exit 2) for anything else."""
    for text in texts:
        try:
            yield ClassPair.parse(text)
        except ConfigError as error:
            raise click.BadParameter(str(error), param_hint="--pair") from error


def read_pairs(path: Path | None) -> Iterator[ClassPair]:
    """The pairs of a file, a usage error (exit 2) that names the line for anything else."""
    if path is None:
        return
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(
            f"cannot read {path}: {error}", param_hint="--pairs-file"
        ) from None
    found = False
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        found = True
        try:
            yield ClassPair.parse(text)
        except ConfigError as error:
            raise click.BadParameter(
                f"{path}, line {number}: {error}", param_hint="--pairs-file"
            ) from error
    if not found:
        raise click.BadParameter(f"{path} has no pair in it", param_hint="--pairs-file")


def ordered_pairs(text: str | None) -> Iterator[ClassPair]:
    """All ordered pairs of a comma-separated list, a usage error (exit 2) for fewer than two."""
    if text is None:
        return
    classes = list(dict.fromkeys(" ".join(name.lower().split()) for name in text.split(",")))
    if len(classes) < 2 or not all(classes):
        raise click.BadParameter(
            f"'{text}' is not a list of two or more classes such as dog,cat,deer",
            param_hint="--classes",
        )
    if any(":" in name for name in classes):
        raise click.BadParameter("a class has no colon in it", param_hint="--classes")
    for true, target in itertools.permutations(classes, 2):
        yield ClassPair(true, target)
