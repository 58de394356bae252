"""The images of a report: which are shown, as small inlined pictures, with their words marked."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image

from advgen.english import inflections, split_at
from advgen.errors import AdvgenError
from advgen.records import Sample

SIDE = 224
"""Longest side of an inlined picture, in pixels."""
CELL_LIMIT = 200
"""Images per pair and method; those that are fooled and verified are shown beyond it."""
TOTAL_LIMIT = 1200
"""What the limits of all pairs and methods add up to at most, down to 12 each."""


MAP_SIDE = 160
"""Longest side of a heat map in a report, in pixels."""
MAPPED_PER_CELL = 6
"""Images with heat maps per pair and method."""
MAPPED_IN_ALL = 18
"""Images with heat maps in a report."""


@dataclass(frozen=True, slots=True)
class MappedImage:
    """One image of a report with both heat maps; contributions are in units of the margin.

    Attributes:
        sample: The row.
        picture: Data URI of the image.
        first_order: Data URI of its first-order heat map.
        second_order: Data URI of its second-order heat map.
        first_sum: What its patches add to the margin directly through attention heads.
        second_sum: What they add through neurons and later heads.
        first_peak: What the strongest patch of the first-order map adds, without its sign.
        second_peak: The same of the second-order map.
        description: Escaped text in which the spurious words and the true class are marked.
    """

    sample: Sample
    picture: str
    first_order: str
    second_order: str
    first_sum: float
    second_sum: float
    first_peak: float
    second_peak: float
    description: Markup

    @property
    def pair(self) -> str:
        """`true:target`."""
        return f"{self.sample.true_class}:{self.sample.target_class}"


@dataclass(frozen=True, slots=True)
class Card:
    """One image of the gallery.

    Attributes:
        sample: The row.
        picture: Data URI; empty when the image could not be read (`fault` says why).
        description: Escaped text in which the spurious words and the true class are marked.
        alt: What a screen reader says.
        fault: Why there is no picture.
    """

    sample: Sample
    picture: str
    description: Markup
    alt: str
    fault: str = ""

    @property
    def pair(self) -> str:
        """`true:target`."""
        return f"{self.sample.true_class}:{self.sample.target_class}"


def choose(samples: Sequence[Sample], limit: int | None = None) -> list[Sample]:
    """The rows to show, by falling margin.

    Per pair and method: everything that is fooled and verified, then the highest margins until
    `limit` rows are reached.

    Args:
        samples: All rows.
        limit: Rows per pair and method; None takes `CELL_LIMIT`, less when there are many of them.
    """
    cells: dict[tuple[str, str, str], list[Sample]] = {}
    for row in sorted(samples, key=lambda row: (-row.margin, row.id)):
        cells.setdefault((row.true_class, row.target_class, row.method), []).append(row)
    if limit is None:
        limit = min(CELL_LIMIT, max(12, TOTAL_LIMIT // max(1, len(cells))))
    shown: list[Sample] = []
    for rows in cells.values():
        hits = [row for row in rows if row.fooled and row.verified]
        others = [row for row in rows if not (row.fooled and row.verified)]
        shown += hits + others[: max(0, limit - len(hits))]
    return sorted(shown, key=lambda row: (-row.margin, row.id))


def choose_mapped(samples: Sequence[Sample]) -> list[Sample]:
    """The rows that get heat maps: what fooled the model most, verified images first.

    Per pair and method at most `MAPPED_PER_CELL`, fewer where there are many pairs and methods;
    `MAPPED_IN_ALL` together, by falling margin.
    """
    cells: dict[tuple[str, str, str], list[Sample]] = {}
    for row in samples:
        cells.setdefault((row.true_class, row.target_class, row.method), [])
        if row.fooled:
            cells[row.true_class, row.target_class, row.method].append(row)
    limit = min(MAPPED_PER_CELL, max(1, MAPPED_IN_ALL // max(1, len(cells))))
    chosen = [
        row
        for rows in cells.values()
        for row in sorted(rows, key=lambda row: (not row.verified, -row.margin, row.id))[:limit]
    ]
    return sorted(chosen, key=lambda row: (-row.margin, row.id))[:MAPPED_IN_ALL]


def make_card(sample: Sample, image_bytes: Callable[[Sample], bytes]) -> Card:
    """The card of a row; an image that cannot be read becomes a card with the reason."""
    picture, fault = "", ""
    try:
        picture = thumbnail(image_bytes(sample))
    except (OSError, ValueError, SyntaxError, AdvgenError) as error:
        fault = str(error) or type(error).__name__
    return Card(
        sample=sample,
        picture=picture,
        description=marked_description(sample),
        alt=f"Drawn from: {sample.description}",
        fault=fault,
    )


def thumbnail(data: bytes, side: int = SIDE) -> str:
    """A WebP data URI of an encoded image, reduced to `side` pixels where it is larger.

    Raises:
        OSError: If the bytes are not an image.
    """
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    return image_uri(image, side)


def image_uri(image: Image.Image, side: int = SIDE, quality: int = 82) -> str:
    """A WebP data URI of an RGB image, reduced to `side` pixels where it is larger."""
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def marked_description(sample: Sample) -> Markup:
    """A row's description with its words marked, see `mark_words`."""
    return mark_words(
        sample.description, sample.words, undrawn=sample.undrawn, true_class=sample.true_class
    )


def mark_words(
    text: str, words: Iterable[str], *, undrawn: Collection[str] = (), true_class: str = ""
) -> Markup:
    """The text, escaped, with whole words in `<mark>` and the true class in `<b class="true">`.

    Singular and plural forms count, case does not; words in `undrawn` get `class="undrawn"`.
    """
    marked = {form for word in words for form in inflections(word)}
    missing = {form for word in undrawn for form in inflections(word)}
    subject = inflections(true_class)
    return Markup("").join(
        _marked(part, marked, missing, subject) if number % 2 else Markup.escape(part)
        for number, part in enumerate(split_at(text, marked | subject))
    )


def _marked(
    part: str, marked: Collection[str], missing: Collection[str], subject: Collection[str]
) -> Markup:
    form = part.lower()
    if form in subject:
        return Markup('<b class="true">{}</b>').format(part)
    if form in missing or (form in marked and set(form.split()) & set(missing)):
        return Markup('<mark class="undrawn" title="could not be drawn">{}</mark>').format(part)
    return Markup("<mark>{}</mark>").format(part)
