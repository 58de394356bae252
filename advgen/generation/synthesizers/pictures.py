"""From a pipeline's numbers to images: noise per image, what is wrong with one, its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from advgen.errors import ModelError
from advgen.generation.protocols import DrawRequest
from advgen.seeds import derive_seed

RESIZING = "lanczos"
TOO_LONG = "too_many_tokens"
_BLACK = 2 / 255


@dataclass(frozen=True, slots=True)
class Checked:
    """One image as a stage drew it, with the verdicts of the safety checker.

    Attributes:
        pixels: RGB in [0, 1], [height, width, 3], before a watermark is put on it.
        flagged: Whether the checker found it unsafe.
        watermarked: Whether the checker found somebody's watermark in it.
    """

    pixels: np.ndarray
    flagged: bool = False
    watermarked: bool = False

    @property
    def fault(self) -> str | None:
        """Why it must not be used: `broken`, `flagged`, `watermark` or `black`; else None."""
        if not np.isfinite(self.pixels).all():
            return "broken"
        if self.flagged:
            return "flagged"
        if self.watermarked:
            return "watermark"
        return "black" if self.pixels.max() <= _BLACK else None


def generators(requests: Sequence[DrawRequest], stage: int) -> list[torch.Generator]:
    """The noise of each image at one stage; on the CPU, so that it is the same on every device."""
    return [
        torch.Generator("cpu").manual_seed(derive_seed(request.seed, "stage", stage))
        for request in requests
    ]


def checked(pixels: Any, flagged: Any, watermarked: Any, what: str) -> list[Checked]:
    """The images of one stage with the checker's verdict on each.

    Args:
        pixels: [image, height, width, 3] in [0, 1].
        flagged: One truth value per image.
        watermarked: One truth value per image.
        what: Name of the checker.

    Raises:
        ModelError: If it said nothing: images that nobody looked at are not used.
    """
    for found in (flagged, watermarked):
        if found is None or len(found) != len(pixels):
            raise ModelError(f"{what} gave no verdict on the images; without one none is used")
    rows = zip(np.asarray(pixels), flagged, watermarked, strict=True)
    return [Checked(image, bool(unsafe), bool(marked)) for image, unsafe, marked in rows]


def to_image(pixels: np.ndarray) -> Image.Image:
    """An RGB image from numbers in [0, 1]; what is no number becomes black."""
    whole = np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    return Image.fromarray((whole * 255).round().astype(np.uint8))


def sized(image: Image.Image, size: int) -> tuple[Image.Image, dict[str, Any]]:
    """The image at the size asked for, and how it came to it.

    Args:
        image: As it was drawn.
        size: Side in pixels that was asked for.

    Returns:
        The image itself if it has that size, else resized with a Lanczos filter; and the details
        `drawn_size` and, where it was resized, `resized`.
    """
    drawn = {"drawn_size": list(image.size)}
    if image.size == (size, size):
        return image, drawn
    resized = image.resize((size, size), Image.Resampling.LANCZOS)
    return resized, {**drawn, "resized": RESIZING}
