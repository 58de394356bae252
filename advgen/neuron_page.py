"""The page of neuron cards: one HTML file with nothing to fetch or install."""

from __future__ import annotations

import base64
import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from jinja2 import Template
from PIL import Image

from advgen.errors import AdvgenError
from advgen.neurons import Catalogue, NeuronCard, SignedWord, TopImage
from advgen.page_templates import page_script, page_style, page_template
from advgen.plots import TARGET_COLOR, TRUE_COLOR, norm_edges

SIDES = (192, 144, 112, 88, 64)
"""Longest side of the inlined pictures, in pixels: the first with which the page stays small."""
BUDGET = 8 << 20
"""About how many bytes the pictures of a page may take."""
BYTES_PER_PIXEL = 0.4
"""Of a WebP data URI at `QUALITY`; photographs need this much, drawings less."""
QUALITY = 80
WIDTH, HEIGHT = 300, 96
"""Size of the histogram's plot, in units of its viewBox."""


@dataclass(frozen=True, slots=True)
class NeuronPage:
    """What a page of cards is made from.

    Attributes:
        title: Heading of the page.
        facts: What was looked at, for the head of the page: name -> value.
        cards: The neurons, in the order shown.
        total: Size of the image set.
        sandbox: True for a model of the drawn world.
    """

    title: str
    facts: Mapping[str, str]
    cards: Sequence[NeuronCard]
    total: int
    sandbox: bool = False


def page_of(catalogue: Catalogue, cards: Sequence[NeuronCard]) -> NeuronPage:
    """The page of some cards of a catalogue."""
    config, name = catalogue.config, catalogue.clip.name
    return NeuronPage(
        title=f"Neurons of {name}",
        facts={
            "weights sha256": catalogue.clip.weights_sha256[:12],
            "image set": catalogue.images.name,
            "images": str(len(catalogue.images)),
            "layer norm's mean": config.lens.treatment,
            "text pool": config.text.pool,
            "words in a code": str(config.text.nonzeros),
            "atoms": config.text.atoms,
        },
        cards=cards,
        total=len(catalogue.images),
        sandbox=PurePath(name).name.startswith("sandbox"),
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a norm histogram, in units of the viewBox."""

    x: float
    y: float
    width: float
    height: float
    large: bool


@dataclass(frozen=True, slots=True)
class NormPanel:
    """The histogram of a neuron's norms.

    Attributes:
        bars: Its bars; empty bins have none.
        ticks: Height of the gridlines and their counts.
        threshold: Where the bound between small and large effects stands.
        end: Norm at the right edge.
        large: Images at or above the bound.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, int], ...]
    threshold: float
    end: float
    large: int


def render_neurons(
    page: NeuronPage, *, picture: Callable[[int], Image.Image], name: Callable[[int], str]
) -> str:
    """The cards as one self-contained HTML page.

    Args:
        page: What to show.
        picture: Gives an image of the set by number; an OSError, ValueError or AdvgenError leaves
            a placeholder with the reason in its place.
        name: Gives an image's name by number.

    Returns:
        HTML text without any reference to the network or to other files.
    """
    shown = [image for card in page.cards for image in (*card.positive, *card.negative)]
    script, script_hash = page_script()
    return _template().render(
        page=page,
        panels=[norm_panel(card) for card in page.cards],
        pictures=_pictures(shown, picture),
        names={image.index: name(image.index) for image in shown},
        reach=max((abs(word.coefficient) for word in _words(page.cards)), default=0.0) or 1.0,
        size=(WIDTH, HEIGHT),
        style=page_style("report.css", "neurons.css"),
        script=script,
        script_hash=script_hash,
        target_color=TARGET_COLOR,
        true_color=TRUE_COLOR,
    )


def norm_panel(card: NeuronCard) -> NormPanel:
    """The histogram of a card's norms with a logarithmic axis of counts."""
    threshold = card.bound
    edges = norm_edges(card.norms.astype(float), threshold)
    counts, _ = np.histogram(card.norms, edges)
    # One image still has a bar: the axis starts at half an image.
    top = math.log(2.0 * max(2, int(counts.max(initial=0))))
    scale = WIDTH / edges[-1]

    def height(count: int) -> float:
        return HEIGHT * math.log(2.0 * count) / top

    bars = tuple(
        Bar(
            round(left * scale, 2),
            round(HEIGHT - height(count), 2),
            round(max(0.5, (right - left) * scale - 0.8), 2),
            round(height(count), 2),
            bool(left >= threshold),
        )
        for left, right, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        if count
    )
    powers = [10**power for power in range(7) if 10**power <= counts.max(initial=0)]
    return NormPanel(
        bars=bars,
        ticks=tuple((round(HEIGHT - height(count), 2), count) for count in powers),
        threshold=round(threshold * scale, 2),
        end=float(edges[-1]),
        large=int((card.norms >= threshold).sum()),
    )


def picture_side(count: int) -> int:
    """Longest side at which so many pictures stay within `BUDGET`; the least of `SIDES` if none."""
    fits = (side for side in SIDES if count * side * side * BYTES_PER_PIXEL <= BUDGET)
    return next(fits, SIDES[-1])


def picture_uri(image: Image.Image, side: int) -> str:
    """A WebP data URI of an image, reduced to `side` pixels where it is larger."""
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _pictures(
    shown: Sequence[TopImage], picture: Callable[[int], Image.Image]
) -> dict[int, tuple[str, str]]:
    """Image number -> (data URI, "") or ("", why there is none); each image is read once."""
    side = picture_side(len(shown))
    pictures = {}
    for number in sorted({image.index for image in shown}):
        try:
            pictures[number] = (picture_uri(picture(number), side), "")
        except (OSError, ValueError, SyntaxError, AdvgenError) as error:
            pictures[number] = ("", str(error) or type(error).__name__)
    return pictures


def _words(cards: Sequence[NeuronCard]) -> list[SignedWord]:
    return [word for card in cards for word in card.facts.words]


@functools.cache
def _template() -> Template:
    return page_template("neurons.html.j2")
