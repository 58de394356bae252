"""First-order (direct) effects: what a neuron or a head writes straight into the pooled tokens.

Source: arXiv 2406.04341, Sec. 3.1; for heads, the decomposition of arXiv 2310.05916 (TextSpan).
Attention and scales of the given image are frozen, as everywhere in the lens.
"""

from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.lens.attention import pooled_attention
from advgen.lens.basis import Treatment
from advgen.models.protocol import ClipModel
from advgen.models.vision.attention import project


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
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: A small batch of preprocessed images.
        layer: MLP layer, counted from 0; the last one included.
        treatment: ``"paper"`` drops the final layer norm's mean, ``"centered"`` takes each
            neuron's own off.

    Raises:
        ValueError: If the layer does not exist or the treatment is unknown.
    """
    readout = _readout(clip, treatment)
    tower = clip.vision
    writes = tower.block(layer).writes
    capture = tower.capture(pixels, activations=(layer,))
    pooling = tower.pooling
    pooled = capture.activations[layer][:, pooling.tokens].to(writes.dtype)
    strength = pooling.weights(capture.final) @ pooled
    rows = torch.einsum("wn,jwe->jne", writes, readout)
    return torch.einsum("ijn,jne->ine", strength, rows)


@torch.no_grad()
def head_effects(
    clip: ClipModel,
    pixels: Float[Tensor, "image 3 height width"],
    layer: int,
    *,
    treatment: Treatment = "paper",
) -> Float[Tensor, "image head token embed"]:
    """The direct effect of each attention head through each token that it reads.

    ``sum_t c_t a_ti R (W_O (W_V LN(x_i) + b_V))``. Summed over heads and tokens, with the out
    projection's bias, this is the attention's share of the image embedding.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: A small batch of preprocessed images.
        layer: Attention layer, counted from 0.
        treatment: As for `first_order_effects`.

    Raises:
        ValueError: If the layer does not exist or the treatment is unknown.
    """
    readout = _readout(clip, treatment)
    tower = clip.vision
    block = tower.block(layer)
    capture = tower.capture(pixels, norms=(layer,))
    normed = capture.normed[layer].to(readout.dtype)
    weights = tower.pooling.weights(capture.final)
    mixed = pooled_attention(normed, block, weights, tower.pooling.tokens)
    values = project(normed, block.heads.value) + block.heads.value_bias[:, None]
    write = torch.einsum("hwv,jwe->hjve", block.heads.out, readout)
    return torch.einsum("ihjt,ihtv,hjve->ihte", mixed, values, write)


@torch.no_grad()
def attention_effects(
    clip: ClipModel, pixels: Float[Tensor, "image 3 height width"]
) -> tuple[Float[Tensor, "image layer embed"], Float[Tensor, "image embed"]]:
    """The direct effect of every attention layer as a whole, and the image embedding (Fig. 10/11).

    Biases are included and each layer's own mean over the stream is taken off, so that replacing a
    layer's effect by another is exact while the scales are frozen.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: Preprocessed images.

    Returns:
        Effects of all layers in order, and the embedding M_image(I), not normalised.
    """
    tower = clip.vision
    layers = range(tower.layers)
    capture = tower.capture(pixels, attention_writes=layers)
    weights = tower.pooling.weights(capture.final)
    readout = _readout(clip, "centered")
    effects = [
        torch.einsum(
            "ijw,jwe->ie",
            weights
            @ capture.attention_writes.pop(layer)[:, tower.pooling.tokens].to(weights.dtype),
            readout,
        )
        for layer in layers
    ]
    return torch.stack(effects, dim=1), capture.representation


def _readout(clip: ClipModel, treatment: str) -> Float[Tensor, "pool width embed"]:
    if treatment not in get_args(Treatment):
        raise ValueError(f"treatment must be 'paper' or 'centered'; got {treatment!r}")
    return clip.vision.pooling.readout(centered=treatment == "centered")
