"""First-order (direct) effects: what a neuron writes straight into the pooled token."""

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.lens.attention import token_scale
from advgen.lens.basis import Treatment
from advgen.models.protocol import ClipModel


@torch.no_grad()
def first_order_effects(
    clip: ClipModel,
    pixels: Float[Tensor, "image 3 height width"],
    layer: int,
    *,
    treatment: Treatment = "paper",
) -> Float[Tensor, "image neuron embed"]:
    """P g_post p_0 w_n / sigma_post: the direct effect of each neuron of a layer (Eq. 4).

    Args:
        clip: Model with a class-token vision transformer.
        pixels: A small batch of preprocessed images.
        layer: MLP layer, counted from 0; the last one included.
        treatment: ``"paper"`` drops the final layer norm's mean, ``"centered"`` takes each
            neuron's own off.

    Raises:
        ValueError: If the layer does not exist or the treatment is unknown.
    """
    if treatment not in ("paper", "centered"):
        raise ValueError(f"treatment must be 'paper' or 'centered'; got {treatment!r}")
    tower = clip.vision
    writes = tower.block(layer).writes
    if treatment == "centered":
        writes = writes - writes.mean(dim=0)
    capture = tower.capture(pixels, activations=(layer,))
    sigma = token_scale(capture.final.to(writes.dtype), tower.ln_post.eps)
    strength = capture.activations[layer][:, 0].to(writes.dtype) / sigma[:, None]
    rows = writes.T @ (tower.ln_post.weight[:, None] * tower.projection)
    return strength[:, :, None] * rows
