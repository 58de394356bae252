"""Options that replace settings of a preset, and the table that comes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from advgen.config import read_preset
from advgen.errors import ConfigError
from advgen.toml import TomlError, read_toml


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
        click.option(
            "--set",
            "changes",
            metavar="KEY=VALUE",
            multiple=True,
            callback=_parse_changes,
            help="Any other setting of the preset, e.g. text.nonzeros=16; repeatable.",
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


_OWN_OPTION = ("pairs", "methods", "images", "repeats", "seed")


def _parse_changes(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, Any], ...]:
    return tuple(parse_change(text) for text in values)


def parse_change(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` to a dotted key and a value, read as TOML where it is TOML, else as text.

    Raises:
        click.BadParameter: If the text is no such thing, or the key has an option of its own.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(part.strip() for part in key.split(".")):
        raise click.BadParameter(f"'{text}' is not KEY=VALUE, e.g. mining.words=25")
    if key in _OWN_OPTION:
        raise click.BadParameter(f"'{key}' has an option of its own, see --help")
    return key, _toml_value(value.strip())


def _toml_value(text: str) -> Any:
    try:
        return read_toml(f"value = {text}")["value"]
    except TomlError:
        return text


def with_change(table: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The table with one dotted key set.

    Raises:
        click.BadParameter: If the key leads through something that is no table.
    """
    head, dot, rest = key.partition(".")
    if not dot:
        return {**table, head: value}
    inner = table.get(head, {})
    if not isinstance(inner, dict):
        raise click.BadParameter(f"'{head}' has no settings inside", param_hint="--set")
    return {**table, head: with_change(inner, rest, value)}


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
    changes: tuple[tuple[str, Any], ...] = (),
) -> dict[str, Any]:
    """The preset's table with the values of `config_options` that were given put into it."""
    table = preset_table(preset)
    single = {
        ("model", "name"): model,
        ("lens", "layers"): layers,
        ("lens", "images"): lens_images,
        ("text", "pool"): pool,
    }
    for (section, key), value in single.items():
        if value is not None:
            table.setdefault(section, {})[key] = value
    for key, value in changes:
        table = with_change(table, key, value)
    return {**table, "seed": seed}
