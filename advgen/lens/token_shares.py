"""What each token adds to a contrast of the image embedding, directly and through neurons.

The effects of the lens are sums over tokens; here the sums are left undone and every term is
projected on a vector v of the joint space. Attention and scales are those of the image.
"""

from collections.abc import Collection, Iterator
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.lens.attention import pooled_attention, scaled_attention
from advgen.lens.basis import Treatment
from advgen.models.protocol import ClipModel
from advgen.models.vision.attention import project


@torch.no_grad()
def attention_shares(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    contrast: Float[Tensor, " embed"],
    *,
    treatment: Treatment = "paper",
) -> Float[Tensor, " token"]:
    """What each token adds to <M_image(I), v> directly, through the heads of all layers.

    `head_effects` projected on v and summed over layers and heads (arXiv 2310.05916), in one pass.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: One preprocessed image.
        contrast: v.
        treatment: Of the final layer norm's mean, see `EffectBasis`.

    Returns:
        One value per token, prefix tokens first, in the tower's working dtype.
    """
    tower = clip.vision
    layers = range(tower.layers)
    readout = _projected_readout(clip, contrast, treatment)
    capture = tower.capture(pixels, norms=layers)
    weights = tower.pooling.weights(capture.final)
    shares = readout.new_zeros(tower.tokens)
    for layer in layers:
        block = tower.block(layer)
        normed = capture.normed.pop(layer)
        mixed = pooled_attention(normed, block, weights, tower.pooling.tokens)[0]
        values = project(normed.to(readout.dtype), block.heads.value)[0]
        values = values + block.heads.value_bias[:, None]
        read = torch.einsum("hwv,jw->hjv", block.heads.out, readout)
        shares += torch.einsum("hjt,htv,hjv->t", mixed, values, read)
    return shares


def neuron_shares(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    contrast: Float[Tensor, " embed"],
    layers: Collection[int],
    *,
    treatment: Treatment = "paper",
) -> Iterator[tuple[int, Float[Tensor, "token neuron"]]]:
    """What each neuron adds to <M_image(I), v> through later heads, by the token it acts on.

    ``sum over l', h of (abar_i / sigma_i) p_i,n <U[n,(l',h)], v>``: the terms of
    alpha[n,(l',h)](I) (Eq. 5 with the norms of Eq. 11) before they are summed over tokens i. Summed
    over tokens it is <phi_n(I), v>, summed over neurons the second-order heat map. U is projected
    on v before it meets the neurons, so that the largest array is token * neuron.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: One preprocessed image.
        contrast: v.
        layers: MLP layers, counted from 0, in any order; the last one has no later head.
        treatment: Of the layer norms' means, see `EffectBasis`.

    Yields:
        A layer and the shares of its neurons, from the last layer to the first, in the tower's
        working dtype.

    Raises:
        ValueError: When iterated, if a layer does not exist or is the last one, or the treatment
            is unknown.
    """
    tower = clip.vision
    last = tower.layers - 2
    if not layers or not all(0 <= layer <= last for layer in layers):
        raise ValueError(f"expected layers from 0 to {last}; got {sorted(layers)}")
    readers = range(min(layers) + 1, tower.layers)
    readout = _projected_readout(clip, contrast, treatment)
    capture = tower.capture(pixels, activations=set(layers), norms=readers)
    weights = tower.pooling.weights(capture.final)
    reading = readout.new_zeros(tower.tokens, tower.width)
    for layer in reversed(range(min(layers), last + 1)):
        later = tower.block(layer + 1)
        mixed = scaled_attention(
            capture.residuals.pop(layer + 1),
            capture.normed.pop(layer + 1),
            later,
            weights,
            tower.pooling.tokens,
        )[0]
        inner = torch.einsum("hwv,jw->hjv", later.heads.out, readout)
        value = later.heads.value * later.ln_1.weight
        reading += torch.einsum("hjt,hjv,hvw->tw", mixed, inner, value)
        if layer in layers:
            writes = tower.block(layer).writes
            if treatment == "centered":
                writes = writes - writes.mean(dim=0)
            active = capture.activations.pop(layer)[0].to(writes.dtype)
            yield layer, active * (reading @ writes)


def _projected_readout(
    clip: ClipModel, contrast: Float[Tensor, " embed"], treatment: str
) -> Float[Tensor, "pool width"]:
    """R_j v: what a change of the last residual stream adds to <M_image, v>, per pool head."""
    if treatment not in get_args(Treatment):
        raise ValueError(f"treatment must be 'paper' or 'centered'; got {treatment!r}")
    readout = clip.vision.pooling.readout(centered=treatment == "centered")
    return readout @ contrast.to(readout.device, readout.dtype)
