"""Options of `advgen neurons`: which model, which layers, which neurons, how they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from advgen.cli.settings import config_options, settings_table
from advgen.config import ATOMS, TREATMENTS, AttackConfig, attack_config
from advgen.records import ClassPair, Neuron

ANY_PAIR = ClassPair("this", "that")
"""An attack's config always has a pair; what is read of it here does not depend on which."""


class NeuronType(click.ParamType):
    """`LAYER:INDEX`, both from 0."""

    name = "LAYER:INDEX"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Neuron:
        """Read a neuron, a usage error (exit 2) for anything else."""
        if isinstance(value, Neuron):
            return value
        layer, colon, index = str(value).partition(":")
        if not (colon and layer.isdecimal() and index.isdecimal()):
            self.fail(f"'{value}' is not a neuron; write LAYER:INDEX, for example 4:10", param, ctx)
        return Neuron(int(layer), int(index))


def lens_parameters(*without: str) -> list[click.Parameter]:
    """The options of `config_options` but for some, and those of the directions.

    Args:
        without: Names of options that would change nothing in a verb.
    """
    shared = click.command()(config_options(_nothing)).params
    own = [
        click.Option(
            ["--treatment"],
            type=click.Choice(TREATMENTS),
            help="Of the layer norm's mean.  [default: the preset's]",
        ),
        click.Option(
            ["--top-images"],
            type=click.IntRange(2),
            help="Images that a direction is fitted to.  [default: the preset's]",
        ),
    ]
    return [option for option in shared if option.name not in {*without, "seed", "changes"}] + own


def code_options(words: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--words`, `--nonzeros` and `--atoms`: how neurons are written as words."""
    options = (
        click.option(
            "--words",
            default=words,
            show_default=True,
            type=click.IntRange(0),
            help="Words per neuron that are kept, largest coefficient first.",
        ),
        click.option(
            "--nonzeros",
            type=click.IntRange(1),
            help="Words per neuron in the sparse code.  [default: the preset's]",
        ),
        click.option(
            "--atoms",
            type=click.Choice(ATOMS),
            help="Treatment of the pool's embeddings.  [default: the preset's]",
        ),
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def neurons_config(
    settings: dict[str, Any],
    *,
    pair: ClassPair | None = None,
    layers: list[int] | None = None,
    nonzeros: int | None = None,
    atoms: str | None = None,
) -> AttackConfig:
    """The config that a verb's options make: the preset's with single settings replaced.

    Raises:
        ConfigError: If a value cannot be used.
    """
    own = {name: settings.get(name) for name in ("treatment", "top_images")}
    shared = {name: value for name, value in settings.items() if name not in own}
    table = settings_table(**{"layers": None, "pool": None, "seed": 0, **shared})
    changes = {
        ("lens", "treatment"): own["treatment"],
        ("lens", "top_images"): own["top_images"],
        ("lens", "layers"): layers,
        ("text", "nonzeros"): nonzeros,
        ("text", "atoms"): atoms,
    }
    for (section, key), value in changes.items():
        if value is not None:
            table.setdefault(section, {})[key] = value
    return attack_config({**table, "pairs": [str(pair or ANY_PAIR)]})


def parse_pair(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> ClassPair | None:
    """Click callback: one `TRUE:TARGET`, a usage error (exit 2) for anything else."""
    from advgen.errors import ConfigError

    try:
        return None if value is None else ClassPair.parse(value)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


def _nothing(**_settings: Any) -> None:
    """Carries the options of `config_options`."""
