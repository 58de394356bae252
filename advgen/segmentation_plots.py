"""Pictures of segmentation: heat maps and masks over images; arrays in, pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from advgen.evaluate.segmentation.single import laid_back
from advgen.evaluate.segmentation.walk import Example

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAT = "viridis"
STRENGTH = 0.65
UNSEEN = 0.35
MASK_COLOUR = "#f97316"


def heat_overlay(image: Image.Image, heatmap: Float[np.ndarray, "height width"]) -> Image.Image:
    """A heat map over its image in grey, dark blue (0) to yellow (1).

    Args:
        image: RGB.
        heatmap: From 0 to 1 at the image's size; where it is NaN the model does not look, and the
            image stays as it is but darker.
    """
    from matplotlib import colormaps

    colour = Image.fromarray(colormaps[HEAT](np.nan_to_num(heatmap), bytes=True)[..., :3])
    mixed = Image.blend(image.convert("L").convert("RGB"), colour, STRENGTH)
    plain = image.convert("RGB").point(lambda value: UNSEEN * value)
    return Image.composite(plain, mixed, Image.fromarray(np.isnan(heatmap)))


def heat_picture(heatmap: Float[np.ndarray, "height width"]) -> Image.Image:
    """The heat map alone: 0 black, 1 white, transparent where the model does not look."""
    level = (255 * np.nan_to_num(heatmap)).round().clip(0, 255).astype(np.uint8)
    seen = np.where(np.isnan(heatmap), 0, 255).astype(np.uint8)
    return Image.fromarray(np.stack([level, seen], axis=2))


def mask_picture(mask: Bool[np.ndarray, "height width"]) -> Image.Image:
    """A mask as black and white."""
    return Image.fromarray((255 * mask).astype(np.uint8))


def examples_figure(examples: Sequence[Example], methods: Sequence[str]) -> Figure:
    """Items down, methods across: the image with its mask outlined, then every heat map.

    Args:
        examples: What is shown.
        methods: In the order of the columns.

    Raises:
        ValueError: If there is no example.
    """
    from matplotlib.figure import Figure

    if not examples:
        raise ValueError("expected at least one example; got none")
    columns = 1 + len(methods)
    figure = Figure(figsize=(1.25 * columns, 1.3 * len(examples) + 0.25), layout="constrained")
    axes = figure.subplots(len(examples), columns, squeeze=False)
    for row, example in zip(axes, examples, strict=True):
        _picture(row[0], example, np.asarray(example.item.image))
        row[0].set_ylabel(example.asked, fontsize=8)
        for ax, method in zip(row[1:], methods, strict=True):
            heatmap, _ = laid_back(example.heatmaps[method], example.box, example.item.image.size)
            picture = heat_overlay(example.item.image, heatmap.numpy())
            _picture(ax, example, np.asarray(picture))
    for ax, name in zip(axes[0], ["image, mask", *methods], strict=True):
        ax.set_title(name, fontsize=8)
    return figure


def _picture(ax: Axes, example: Example, pixels: np.ndarray) -> None:
    ax.imshow(pixels)
    mask = example.item.mask
    if mask.any() and not mask.all():
        ax.contour(mask.astype(float), levels=[0.5], colors=[MASK_COLOUR], linewidths=0.9)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
