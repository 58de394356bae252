"""One image and one class: where the class is, at the image's own size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from advgen.evaluate.segmentation.geometry import Box, seen_box
from advgen.evaluate.segmentation.metrics import Threshold, marked
from advgen.evaluate.segmentation.protocol import Segmenter
from advgen.imagesets import open_image
from advgen.models import ClipModel


@dataclass(frozen=True, slots=True, eq=False)
class ImageSegmentation:
    """Where a class is in an image.

    Attributes:
        heat: One value per patch, as the method gives it.
        heatmap: From 0 to 1 at the image's size; NaN where the model does not look.
        mask: The pixels that are called the class; none where the model does not look.
        box: The part of the image that the model sees.
        cosine: Of the image and the class.
    """

    heat: Float[Tensor, "row column"]
    heatmap: Float[Tensor, "height width"]
    mask: Bool[np.ndarray, "height width"]
    box: Box
    cosine: float


def upright_image(path: Path) -> Image.Image:
    """An image file as a viewer shows it, as RGB.

    It is turned as its EXIF entry says, so that pictures of heat maps lie as people see the image;
    16 bits of grey are brought to 8, which Pillow would cut to white. What is transparent keeps the
    colour that the file has there.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be read (`UnreadableImageError`).
    """
    image = open_image(path)
    with Image.open(path) as raw:
        if raw.mode.startswith("I"):
            grey = np.asarray(raw, dtype=np.float64) / 257
            image = Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")
        return ImageOps.exif_transpose(image)


def segment_image(
    clip: ClipModel,
    method: Segmenter,
    image: Image.Image,
    class_embedding: Float[Tensor, " embed"],
    *,
    threshold: Threshold = "0.5",
) -> ImageSegmentation:
    """Ask a method where a class is in an image of any size.

    Args:
        clip: The model that the method looks into.
        method: The method.
        image: RGB.
        class_embedding: Unit row.
        threshold: 0.5 or the map's mean, over the pixels that the model sees.

    Raises:
        ModelError: If the model's preprocessing does more than to resize and crop.
    """
    box = seen_box(clip.preprocess, image.size)
    pixels = clip.preprocess(image)[None]
    heat = method.heatmaps(pixels, class_embedding[None])[0]
    heatmap, seen = laid_back(heat, box, image.size)
    mask = np.zeros((image.height, image.width), dtype=bool)
    mask[seen] = marked(heatmap[seen][None], threshold)[0]
    cosine = float(clip.encode_image(pixels)[0].float().cpu() @ class_embedding.float().cpu())
    return ImageSegmentation(heat, heatmap, mask, box, cosine)


def laid_back(
    heat: Float[Tensor, "row column"], box: Box, size: tuple[int, int]
) -> tuple[Float[Tensor, "height width"], Bool[np.ndarray, "height width"]]:
    """A heat map laid over the part of the image that it speaks of.

    Args:
        heat: One value per patch.
        box: What the patches cover.
        size: Width and height of the image.

    Returns:
        Bilinear values, min-max over the seen pixels (0.5 throughout for a constant map) and NaN
        elsewhere; and which pixels are seen (those whose centre lies in the box).

    Raises:
        ValueError: If a value is not finite.
    """
    if not bool(torch.isfinite(heat).all()):
        raise ValueError("expected finite heat map values; got NaN or infinity")
    width, height = size
    across = 2 * (torch.arange(width, dtype=torch.float64) + 0.5 - box.left)
    across = across / (box.right - box.left) - 1
    down = 2 * (torch.arange(height, dtype=torch.float64) + 0.5 - box.top)
    down = down / (box.bottom - box.top) - 1
    grid = torch.stack([across.expand(height, width), down[:, None].expand(height, width)], dim=-1)
    wide = heat.detach().double().cpu()[None, None]
    laid = F.grid_sample(
        wide, grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )[0, 0]
    seen = ((across.abs() <= 1)[None, :] & (down.abs() <= 1)[:, None]).numpy()
    inside = laid[seen]
    spread = inside.max() - inside.min()
    constant = bool(heat.max() == heat.min()) or not bool(spread > 0)
    values = torch.full_like(laid, 0.5) if constant else (laid - inside.min()) / spread
    return torch.where(torch.from_numpy(seen), values, torch.nan), seen
