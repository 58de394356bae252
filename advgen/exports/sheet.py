"""Cells that a spreadsheet shows and does not run."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"(^|[;\t\r\n])([\s\"]*)('*[=+\-@\uff1d\uff0b\uff0d\uff20])")
_HARMLESS = re.compile(r"(^|[;\t\r\n])([\s\"]*)'('*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def harmless(text: str) -> str:
    """The text with an apostrophe before what a spreadsheet would take for a formula.

    That is `=`, `+`, `-` or `@` (also full-width) where a cell may begin: at the start, and after
    a tab, a line break or a semicolon, which split cells in some settings.
    """
    return _FORMULA.sub(r"\1\2'\3", text)


def as_written(text: str) -> str:
    """Inverse of `harmless`."""
    return _HARMLESS.sub(r"\1\2\3", text)
