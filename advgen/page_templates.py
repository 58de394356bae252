"""The templates of self-contained pages, with the filters that all of them use."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

_SCRIPT = "report.js"


def page_template(name: str, **filters: Callable[..., str]) -> Template:
    """A packaged template that escapes everything and refuses what is undefined.

    Args:
        name: File in ``advgen/templates``.
        filters: More filters, or others in place of `percent`, `signed` and `arrow`.
    """
    environment = Environment(
        loader=FunctionLoader(read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({"percent": percent, "signed": signed, "arrow": arrow, **filters})
    return environment.get_template(name)


def read_template(name: str) -> str:
    """The text of a packaged template, style or script."""
    folder = resources.files("advgen").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def page_style(*names: str) -> Markup:
    """Style sheets, one after another."""
    return Markup("".join(map(read_template, names)))


def page_script() -> tuple[Markup, str]:
    """The pages' script, and the hash that lets this script run and no other."""
    script = "\n" + read_template(_SCRIPT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return Markup(script), digest


def percent(share: float, digits: int = 1) -> str:
    """`21.0 %`."""
    return f"{100 * share:.{digits}f} %"


def signed(value: float, digits: int = 3) -> str:
    """`+0.119`, with a real minus sign below zero."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def arrow(pair: object) -> str:
    """`dog:deer` as `dog -> deer`, with a real arrow."""
    return str(pair).replace(":", " \N{RIGHTWARDS ARROW} ", 1)
