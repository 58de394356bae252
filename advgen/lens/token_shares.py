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
from advgen.models.vision import Capture, VisionTower
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

    Raises:
        ValueError: If there is more than one image, or the treatment is unknown.
    """
    _check_one(pixels)
    tower = clip.vision
    layers = range(tower.layers)
    readout = _projected_readout(tower, contrast[None], treatment)[0]
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
        ValueError: When iterated, if there is more than one image, a layer does not exist or is
            the last one, or the treatment is unknown.
    """
    _check_one(pixels)
    tower = clip.vision
    capture = tower.capture(pixels, activations=set(layers), norms=later_blocks(tower, layers))
    strengths = neuron_strengths(tower, capture, contrast[None], layers, treatment=treatment)
    for layer, strength in strengths:
        active = capture.activations.pop(layer)[0].to(strength.dtype)
        yield layer, active * strength[0]


def later_blocks(tower: VisionTower, layers: Collection[int]) -> range:
    """The blocks whose heads read some MLP layers: what a capture must hold the norms of.

    Raises:
        ValueError: If a layer does not exist or is the last one, which has no later head.
    """
    last = tower.layers - 2
    if not layers or not all(0 <= layer <= last for layer in layers):
        raise ValueError(f"expected layers from 0 to {last}; got {sorted(layers)}")
    return range(min(layers) + 1, tower.layers)


@torch.no_grad()
def neuron_strengths(
    tower: VisionTower,
    capture: Capture,
    contrasts: Float[Tensor, "image embed"],
    layers: Collection[int],
    *,
    treatment: Treatment = "paper",
) -> Iterator[tuple[int, Float[Tensor, "image token neuron"]]]:
    """What a unit of activation adds to <M_image(I), v> through later heads, token by token.

    ``sum over l', h of (abar_i / sigma_i) <U[n,(l',h)], v>``; times p_i,n it is `neuron_shares`.

    Args:
        tower: The vision tower.
        capture: A pass with the norms of `later_blocks`; they are taken out of it.
        contrasts: v of every image.
        layers: MLP layers, counted from 0, in any order.
        treatment: Of the layer norms' means, see `EffectBasis`.

    Yields:
        A layer and the strengths of its neurons, from the last layer to the first.

    Raises:
        ValueError: When iterated, if a layer does not exist or is the last one, or the treatment
            is unknown.
    """
    readers = later_blocks(tower, layers)
    readout = _projected_readout(tower, contrasts, treatment)
    weights = tower.pooling.weights(capture.final)
    reading = readout.new_zeros(len(contrasts), tower.tokens, tower.width)
    for reader in reversed(readers):
        later = tower.block(reader)
        mixed = scaled_attention(
            capture.residuals.pop(reader),
            capture.normed.pop(reader),
            later,
            weights,
            tower.pooling.tokens,
        )
        inner = torch.einsum("hwv,ijw->ihjv", later.heads.out, readout)
        value = later.heads.value * later.ln_1.weight
        inner = torch.einsum("ihjv,hvw->ihjw", inner, value).flatten(1, 2)
        reading += mixed.flatten(1, 2).transpose(1, 2) @ inner
        if reader - 1 in layers:
            writes = tower.block(reader - 1).writes
            if treatment == "centered":
                writes = writes - writes.mean(dim=0)
            yield reader - 1, reading @ writes


def _check_one(pixels: Tensor) -> None:
    if pixels.ndim != 4 or len(pixels) != 1:
        raise ValueError(f"expected pixels of one image; got shape {tuple(pixels.shape)}")


def _projected_readout(
    tower: VisionTower, contrasts: Float[Tensor, "image embed"], treatment: str
) -> Float[Tensor, "image pool width"]:
    """R_j v: what a change of the last residual stream adds to <M_image, v>, per pool head."""
    if treatment not in get_args(Treatment):
        raise ValueError(f"treatment must be 'paper' or 'centered'; got {treatment!r}")
    readout = tower.pooling.readout(centered=treatment == "centered")
    return torch.einsum("jwe,ie->ijw", readout, contrasts.to(readout.device, readout.dtype))
