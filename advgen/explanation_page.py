"""The page of `advgen explain`: images with both heat maps and the neurons behind the margin."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from advgen.evaluate.explanation import Explanation
from advgen.gallery import image_uri
from advgen.heatmap_overlay import overlay
from advgen.plots import TARGET_COLOR, TRUE_COLOR

WORDS_SHOWN = 5
"""Words per neuron and side; `explanation.json` has all of them."""


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedImage:
    """One image with one pair.

    Attributes:
        name: What the page calls the image.
        image: A square RGB image, what the model sees of it.
        explanation: What was found.
    """

    name: str
    image: Image.Image
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class ExplanationPage:
    """What a page is made from.

    Attributes:
        facts: What was looked at, for the head of the page: name -> value.
        entries: The images, in the order shown.
        sandbox: True for a model of the drawn world.
    """

    facts: Mapping[str, str]
    entries: Sequence[ExplainedImage]
    sandbox: bool = False


def render_explanations(page: ExplanationPage) -> str:
    """The explanations as one self-contained HTML page.

    Returns:
        HTML text without any reference to the network or to other files.
    """
    script = "\n" + _read_template("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    pushes = [
        push
        for entry in page.entries
        for push in (*entry.explanation.towards, *entry.explanation.against)
    ]
    return _template().render(
        page=page,
        pictures=[heatmap_uris(entry.image, entry.explanation) for entry in page.entries],
        reach=max((abs(push.contribution) for push in pushes), default=0.0) or 1.0,
        words_shown=WORDS_SHOWN,
        style=Markup(_read_template("report.css") + _read_template("explanation.css")),
        script=Markup(script),
        script_hash=digest,
        target_color=TARGET_COLOR,
        true_color=TRUE_COLOR,
    )


def heatmap_uris(image: Image.Image, explanation: Explanation) -> tuple[str, str, str]:
    """Data URIs of the image and of its first-order and second-order heat map."""
    return (
        image_uri(image),
        image_uri(overlay(image, explanation.first_order)),
        image_uri(overlay(image, explanation.second_order)),
    )


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _arrow(pair: object) -> str:
    return str(pair).replace(":", " \N{RIGHTWARDS ARROW} ", 1)


def _read_template(name: str) -> str:
    return (
        resources.files("advgen").joinpath("templates").joinpath(name).read_text(encoding="utf-8")
    )


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(_read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["signed"] = _signed
    environment.filters["arrow"] = _arrow
    return environment.get_template("explanation.html.j2")
