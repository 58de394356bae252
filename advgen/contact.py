"""The contact sheet: the best images of a run on one picture, for a README or a message."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFont

from advgen.errors import AdvgenError
from advgen.plots import TARGET_COLOR
from advgen.records import Sample

MOST = 48
"""Images on a sheet at most."""

_PAPER, _INK, _SOFT, _LINE, _BLANK = "#faf9f6", "#1b1c1f", "#5f625f", "#d8d4ca", "#e9e6de"
_PAD, _GAP, _FRAME, _CAPTION, _FOOT = 20, 14, 3, 36, 32
_SCALE = 4


def contact_sheet(
    samples: Sequence[Sample],
    open_image: Callable[[Sample], Image.Image],
    *,
    columns: int = 8,
    cell: int = 128,
) -> Image.Image:
    """The best images of a run: fooled and verified first, then by margin.

    Args:
        samples: Rows of a run; the best 48 are shown.
        open_image: Gives the image of a row; an OSError, ValueError or AdvgenError
            leaves the cell blank.
        columns: Images per line.
        cell: Side of an image in pixels.

    Returns:
        RGB image. Glyphs tell the outcome: a filled diamond for fooled, a hollow one for not
        fooled, a tick for verified. Images that are both have a frame in the target colour.

    Raises:
        ValueError: If `columns` is below 1 or `cell` below 48 pixels.
    """
    if columns < 1 or cell < 48:
        raise ValueError(f"expected columns >= 1 and cell >= 48, got {columns} and {cell}")
    best = best_first(samples)[:MOST]
    across = max(1, min(columns, len(best)))
    down = -(-len(best) // columns) if best else 1
    width = max(2 * _PAD + across * (cell + _GAP) - _GAP, 360)
    height = _PAD + down * (cell + _CAPTION + _GAP) + _FOOT
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if not best:
        draw.text((width / 2, height / 2), "no images", fill=_SOFT, font=_font(18), anchor="mm")
        return sheet
    for number, sample in enumerate(best):
        left = _PAD + (number % columns) * (cell + _GAP)
        top = _PAD + (number // columns) * (cell + _CAPTION + _GAP)
        _paste(sheet, sample, open_image, left, top, cell)
        _caption(sheet, draw, sample, left, top + cell + 5, cell)
    _legend(sheet, draw, len(best), len(samples))
    return sheet


def best_first(samples: Sequence[Sample]) -> list[Sample]:
    """Fooled and verified rows first, each part by falling margin."""
    return sorted(samples, key=lambda row: (not (row.fooled and row.verified), -row.margin, row.id))


def _paste(
    sheet: Image.Image,
    sample: Sample,
    open_image: Callable[[Sample], Image.Image],
    left: int,
    top: int,
    cell: int,
) -> None:
    outcome = sample.fooled and sample.verified
    frame = Image.new("RGB", (cell, cell), TARGET_COLOR if outcome else _LINE)
    sheet.paste(frame, (left, top), _rounded(cell, 9))
    inner = cell - 2 * _FRAME
    try:
        image = open_image(sample).convert("RGB").resize((inner, inner), Image.Resampling.LANCZOS)
    except (OSError, ValueError, AdvgenError):
        image = Image.new("RGB", (inner, inner), _BLANK)
        ImageDraw.Draw(image).text(
            (inner / 2, inner / 2), "unreadable", fill=_SOFT, font=_font(13), anchor="mm"
        )
    sheet.paste(image, (left + _FRAME, top + _FRAME), _rounded(inner, 7))


def _caption(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, sample: Sample, left: int, top: int, cell: int
) -> None:
    color = TARGET_COLOR if sample.fooled else _SOFT
    _glyph(sheet, left + 2, top + 1, "fooled" if sample.fooled else "held")
    draw.text((left + 20, top), f"{sample.margin:+.3f}", fill=color, font=_font(14))
    if sample.verified:
        _glyph(sheet, left + cell - 15, top + 1, "verified")
    _pair(draw, sample, left + 2, top + 17, cell - 4)


def _pair(draw: ImageDraw.ImageDraw, sample: Sample, left: int, top: int, room: int) -> None:
    """`true -> target` in the given width; the arrow is drawn, as the built-in font has none."""
    arrow = 20
    sides = (room - arrow) / 2
    longest = max(_font(12).getlength(sample.true_class), _font(12).getlength(sample.target_class))
    both = _font(12).getlength(sample.true_class) + _font(12).getlength(sample.target_class)
    fits = longest <= sides or both + arrow <= room
    true = sample.true_class if fits else _fitting(sample.true_class, sides)
    target = sample.target_class if fits else _fitting(sample.target_class, sides)
    draw.text((left, top), true, fill=_INK, font=_font(12))
    x, y = left + _font(12).getlength(true) + 5, top + 8
    draw.line([(x, y), (x + 9, y)], fill=_SOFT, width=1)
    draw.line([(x + 6, y - 3), (x + 9, y), (x + 6, y + 3)], fill=_SOFT, width=1)
    draw.text((x + 15, top), target, fill=TARGET_COLOR, font=_font(12))


def _legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, shown: int, total: int) -> None:
    x, y = _PAD + 2, sheet.height - _FOOT
    for kind, text in (("fooled", "fooled"), ("held", "not fooled"), ("verified", "verified")):
        _glyph(sheet, x, y, kind)
        draw.text((x + 18, y), text, fill=_SOFT, font=_font(12))
        x += 18 + int(_font(12).getlength(text)) + 18
    count = f"{shown} of {total} images" if shown < total else f"{total} images"
    draw.text((sheet.width - _PAD, y), count, fill=_SOFT, font=_font(12), anchor="ra")


def _glyph(sheet: Image.Image, left: int, top: int, kind: str) -> None:
    """A 13-pixel mark, drawn large and reduced so that its edges are smooth."""
    side = 13 * _SCALE
    mark = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mark)
    mid, edge = side / 2, side - 2
    diamond = [(mid, 2), (edge, mid), (mid, edge), (2, mid)]
    if kind == "verified":
        tick = [(6, 28), (20, 42), (46, 12)]
        pen.line(tick, fill=255, width=9, joint="curve")
    elif kind == "fooled":
        pen.polygon(diamond, fill=255)
    else:
        pen.line([*diamond, diamond[0], diamond[1]], fill=255, width=6, joint="curve")
    color = {"fooled": TARGET_COLOR, "held": _SOFT, "verified": _INK}[kind]
    sheet.paste(
        Image.new("RGB", (13, 13), color),
        (int(left), int(top)),
        mark.resize((13, 13), Image.Resampling.LANCZOS),
    )


def _fitting(text: str, width: float) -> str:
    if _font(12).getlength(text) <= width:
        return text
    while text and _font(12).getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


@functools.cache
def _rounded(side: int, radius: int) -> Image.Image:
    mask = Image.new("L", (side * _SCALE, side * _SCALE), 0)
    box = (0, 0, side * _SCALE - 1, side * _SCALE - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * _SCALE, fill=255)
    return mask.resize((side, side), Image.Resampling.LANCZOS)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
