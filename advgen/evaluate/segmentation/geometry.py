"""Which part of an image a model sees, and masks brought to the metrics' size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from advgen.errors import ModelError

SIDE = 224
"""Pixels per side that heat maps and masks are compared at, whatever the model's input."""

_STRAIGHT = 0.02
_SNAP = 0.002


@dataclass(frozen=True, slots=True)
class Box:
    """A part of an image, in its pixels from the upper left corner; edges need not be whole."""

    left: float
    top: float
    right: float
    bottom: float


def seen_box(
    preprocess: Callable[[Image.Image], Float[Tensor, "3 row column"]], size: tuple[int, int]
) -> Box:
    """The part of an image of some size that a model's preprocessing keeps.

    Found by sending an image through it whose red says how far right a pixel is and whose green
    says how far down, so that it holds for any resizing and cropping.

    Args:
        preprocess: As `ClipModel.preprocess`; each channel may be shifted and scaled.
        size: Width and height.

    Raises:
        ModelError: If the preprocessing does more than to resize and crop.
    """
    width, height = size
    across = np.broadcast_to(_ramp(width)[None, :], (height, width))
    down = np.broadcast_to(_ramp(height)[:, None], (height, width))
    probe = Image.fromarray(np.stack([across, down, np.zeros_like(across)], axis=2))
    black, white = (preprocess(Image.new("RGB", size, (v, v, v))) for v in (0, 255))
    levels = (255 * (preprocess(probe) - black) / (white - black)).double().cpu()
    left, right = _edges(levels[0].mean(dim=0), width)
    top, bottom = _edges(levels[1].mean(dim=1), height)
    return Box(left, top, right, bottom)


def squashed(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "side side"]:
    """A mask resized to `SIDE` x `SIDE` by nearest pixel, whatever its shape."""
    return _resized(mask, None)


def cut(mask: Bool[np.ndarray, "height width"], box: Box) -> Bool[np.ndarray, "side side"]:
    """The part of a mask in a box, resized to `SIDE` x `SIDE` by nearest pixel."""
    height, width = mask.shape
    right, bottom = min(float(width), box.right), min(float(height), box.bottom)
    return _resized(mask, (max(0.0, box.left), max(0.0, box.top), right, bottom))


def _resized(
    mask: Bool[np.ndarray, "height width"], box: tuple[float, float, float, float] | None
) -> Bool[np.ndarray, "side side"]:
    grey = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.NEAREST, box=box)) > 0


def _ramp(length: int) -> np.ndarray:
    return np.linspace(0, 255, length).round().astype(np.uint8)


def _edges(levels: Float[Tensor, " place"], length: int) -> tuple[float, float]:
    """Source places of the first and last edge, from a line through the inner levels."""
    if length < 2:
        return 0.0, float(length)
    count = len(levels)
    centres = torch.arange(count, dtype=torch.float64) + 0.5
    source = levels * (length - 1) / 255 + 0.5
    margin = min(max(2, count // 10), (count - 2) // 2)
    inner = slice(margin, count - margin)
    x, y = centres[inner].numpy(), source[inner].numpy()
    slope, start = np.polyfit(x, y, 1) if np.isfinite(y).all() else (0.0, 0.0)
    if slope <= 0 or np.abs(slope * x + start - y).max() > max(1.0, _STRAIGHT * length):
        raise ModelError(
            "this model's preprocessing does more than to resize and crop, so masks cannot follow "
            "it; choose the protocol reference"
        )
    near = max(0.3, _SNAP * length)
    first, last = float(start), float(start + slope * count)
    return (0.0 if abs(first) < near else first), (
        float(length) if abs(last - length) < near else last
    )
