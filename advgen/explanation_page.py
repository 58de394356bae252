"""The page of `advgen explain`: images with both heat maps and the neurons behind the margin."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Template
from PIL import Image

from advgen.evaluate.explanation import Explanation
from advgen.gallery import image_uri
from advgen.heatmap_overlay import overlay, peak_of
from advgen.page_templates import page_script, page_style, page_template
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
    script, script_hash = page_script()
    pushes = [
        push
        for entry in page.entries
        for push in (*entry.explanation.towards, *entry.explanation.against)
    ]
    return _template().render(
        page=page,
        pictures=[heatmap_uris(entry.image, entry.explanation) for entry in page.entries],
        reach=max((abs(push.contribution) for push in pushes), default=0.0) or 1.0,
        peak_of=peak_of,
        words_shown=WORDS_SHOWN,
        style=page_style("report.css", "explanation.css"),
        script=script,
        script_hash=script_hash,
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


@functools.cache
def _template() -> Template:
    return page_template("explanation.html.j2")
