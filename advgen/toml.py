"""Reading TOML on every supported Python: the standard library's parser, or tomli before 3.11."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

TomlError = tomllib.TOMLDecodeError


def read_toml(text: str) -> dict[str, Any]:
    """The table that a TOML text describes.

    Raises:
        TomlError: If the text is not TOML; the message says where.
    """
    return tomllib.loads(text)
