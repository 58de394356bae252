"""Where in an image a CLIP reads one class rather than another (Fig. 6)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.lens.first_order import head_effects
from advgen.models import ClipModel


def first_order_heatmap(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    contrast: Float[Tensor, " embed"],
) -> Float[Tensor, "row column"]:
    """What each patch adds to `cos(target) - cos(true)` directly through the attention heads.

    The token decomposition of TextSpan (arXiv 2310.05916) projected on v, summed over layers and
    heads; attention and scales are those of the image. Above zero a patch speaks for the target
    class. What MLPs and the class token add has no place in the image and is left out.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: One preprocessed image.
        contrast: v = M_text(target class) - M_text(true class), of unit class embeddings.

    Returns:
        One value per patch, float32 on the CPU, in units of the margin.

    Raises:
        ValueError: If the patches of the model do not form a square.
    """
    tower = clip.vision
    patches = tower.tokens - tower.prefix_tokens
    side = math.isqrt(patches)
    if side * side != patches:
        raise ValueError(f"expected patches in a square; got {patches}")
    values = torch.zeros(tower.tokens)
    for layer in range(tower.layers):
        effects = head_effects(clip, pixels, layer)[0].sum(dim=0)
        values += (effects.float() @ contrast.to(effects.device).float()).cpu()
    norm = clip.encode_image(pixels, normalize=False).float().norm().cpu()
    return (values[tower.prefix_tokens :] / norm).reshape(side, side)
