"""Reading TOML on every supported Python: the standard library's parser, or tomli before 3.11."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TomlError = tomllib.TOMLDecodeError


def read_toml(text: str) -> dict[str, Any]:
    """The table that a TOML text describes.

    Raises:
        TomlError: If the text is not TOML; the message names line and column.
    """
    return tomllib.loads(text)
