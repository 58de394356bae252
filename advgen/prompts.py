"""Finding the prompt files: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from advgen.errors import ConfigError


def prompt_text(name: str) -> str:
    """The text of a prompt file, for example `sentences.toml`.

    Raises:
        ConfigError: If the installation lacks the file.
    """
    packaged = resources.files("advgen").joinpath("_prompts")
    checkout = Path(__file__).resolve().parent.parent / "prompts"
    for folder in (packaged, checkout):
        entry = folder.joinpath(name)
        if entry.is_file():
            return entry.read_text(encoding="utf-8")
    raise ConfigError(f"the prompt file '{name}' is not installed; reinstall advgen")


def prompt_revision(name: str) -> str:
    """First 12 digits of the prompt file's sha256: changes when the prompt does."""
    return hashlib.sha256(prompt_text(name).encode()).hexdigest()[:12]
