"""Heat maps as pictures: laid over their image, side by side, with a legend in words."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from advgen.models import ClipModel

TARGET_RGB, TRUE_RGB = (194, 65, 12), (14, 116, 144)
"""Warm for the target class, cold for the true class, as in the plots and the report."""
STRENGTH = 0.75
"""Opacity of the strongest patch."""
_PAPER, _INK, _SOFT = "#faf9f6", "#1b1c1f", "#5f625f"
_PAD, _GAP, _HEAD, _LINE = 16, 14, 24, 20


def overlay(image: Image.Image, heat: torch.Tensor) -> Image.Image:
    """A heat map laid over its image: warm speaks for the target class, cold for the true class.

    The strongest patch has full colour, so maps of two images do not compare.

    Args:
        image: A square RGB image.
        heat: Float [row, column].
    """
    scale = peak_of(heat) or 1.0
    small = Image.fromarray((heat / scale).float().numpy())
    values = np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))[..., None]
    colour = np.where(values > 0, np.array(TARGET_RGB), np.array(TRUE_RGB))
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=float)
    weight = STRENGTH * np.abs(values).clip(0, 1)
    mixed = grey * (1 - weight) + colour * weight
    return Image.fromarray(mixed.round().astype(np.uint8))


def peak_of(heat: torch.Tensor) -> float:
    """Size of the strongest patch, in units of the margin: where the colours of `overlay` end."""
    return float(heat.abs().max())


def seen_image(clip: ClipModel, image: Image.Image) -> Image.Image:
    """The part of an image that the model looks at, as a square of at least the model's input size.

    A square image is seen whole and comes back as it is. Of any other the model's own input comes
    back, brought from normalised values to RGB by what it makes of black and of white: so it does
    not matter whether the model crops, squeezes or pads.

    Args:
        clip: The model.
        image: Any image.
    """
    image = image.convert("RGB")
    if image.width == image.height:
        return image
    black, white = (
        clip.preprocess(Image.new("RGB", image.size, shade)).cpu() for shade in ("black", "white")
    )
    low, high = black.amin(dim=(1, 2))[:, None, None], white.amax(dim=(1, 2))[:, None, None]
    values = ((clip.preprocess(image).cpu() - low) / (high - low)).clamp(0, 1)
    return Image.fromarray((values * 255).round().byte().permute(1, 2, 0).numpy())


def side_by_side(
    pictures: Sequence[tuple[str, Image.Image]], legend: Sequence[str], *, side: int = 256
) -> Image.Image:
    """Pictures in a row with their titles, and lines of text below.

    Args:
        pictures: Title and square picture of each column.
        legend: Lines of text; a line is cut where it is wider than the row.
        side: Size of each picture in pixels.
    """
    width = 2 * _PAD + len(pictures) * (side + _GAP) - _GAP
    height = _PAD + _HEAD + side + _PAD + _LINE * len(legend) + _PAD // 2
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (title, picture) in enumerate(pictures):
        left = _PAD + number * (side + _GAP)
        draw.text((left, _PAD - 4), _fitting(title, side, 15), fill=_INK, font=_font(15))
        scaled = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        sheet.paste(scaled, (left, _PAD + _HEAD))
    for number, line in enumerate(legend):
        top = _PAD + _HEAD + side + _PAD // 2 + number * _LINE
        draw.text((_PAD, top), _fitting(line, width - 2 * _PAD, 13), fill=_SOFT, font=_font(13))
    return sheet


def legend_lines(true_class: str, target_class: str) -> tuple[str, str]:
    """What the colours of an overlay say, in words, and in which unit."""
    return (
        f"orange: speaks for {target_class}; blue: speaks for {true_class}; grey: for neither",
        f"by what a patch adds to cos({target_class}) - cos({true_class}); "
        "full colour: the map's strongest patch",
    )


def _fitting(text: str, width: float, size: int) -> str:
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
