"""Text-to-image models by name, with the settings that suit them (`presets.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from advgen.errors import ConfigError
from advgen.generation.synthesizers.options import DiffusersOptions, read_options
from advgen.registry import unknown_name
from advgen.toml import read_toml

USUAL_DTYPE = "bfloat16"


@cache
def _table() -> dict[str, dict[str, Any]]:
    file = resources.files("advgen.generation.synthesizers").joinpath("presets.toml")
    return read_toml(file.read_text(encoding="utf-8"))


def preset_names() -> list[str]:
    """Names of the presets."""
    return list(_table())


def read_preset(name: str) -> dict[str, Any]:
    """A preset's settings as they stand in the file; none for the empty name.

    Raises:
        ConfigError: If there is no such preset; the message names those there are.
    """
    if name and name not in _table():
        raise ConfigError(unknown_name("preset of draw.options", name, _table()))
    return dict(_table()[name]) if name else {}


def usual_dtype(options: DiffusersOptions) -> str:
    """The number format of a preset's model on an accelerator."""
    return read_preset(options.preset).get("dtype", USUAL_DTYPE)


def diffusers_options(options: Mapping[str, Any]) -> DiffusersOptions:
    """Options as given, completed by those of the preset that they name.

    A folder or model that is given beside a preset is taken for a copy of the preset's model; its
    files are read as they are, not by the preset's variant.

    Raises:
        ConfigError: If a preset, a name or a value is not known.
    """
    preset = options.get("preset", "")
    if not isinstance(preset, str):
        raise ConfigError(f"draw.options.preset must be of type str, got {preset!r}")
    table = read_preset(preset)
    table.pop("dtype", None)
    if "model" in options:
        table.pop("variant", None)
    merged = {**table, **options}
    if isinstance(merged.get("call"), Mapping):
        merged["call"] = {**table.get("call", {}), **merged["call"]}
    return read_options(DiffusersOptions, merged)
