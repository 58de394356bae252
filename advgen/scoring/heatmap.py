"""Where in an image a CLIP reads one class rather than another (Fig. 6)."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.config import LensConfig
from advgen.lens.basis import Treatment
from advgen.lens.token_shares import attention_shares, neuron_shares
from advgen.models import ClipModel
from advgen.records import Neuron


def first_order_heatmap(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    contrast: Float[Tensor, " embed"],
    *,
    treatment: Treatment = "paper",
) -> Float[Tensor, "row column"]:
    """What each patch adds to `cos(target) - cos(true)` directly through the attention heads.

    The token decomposition of TextSpan (arXiv 2310.05916) projected on v, summed over layers and
    heads; attention and scales are those of the image. Above zero a patch speaks for the target
    class. What MLPs and the class token add has no place in the image and is left out.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: One preprocessed image.
        contrast: v = M_text(target class) - M_text(true class), of unit class embeddings.
        treatment: Of the final layer norm's mean, see `lens.basis.EffectBasis`.

    Returns:
        One value per patch, float32 on the CPU, in units of the margin.

    Raises:
        ValueError: If the patches of the model do not form a square.
    """
    square_side(clip)
    return _in_place(clip, pixels, attention_shares(clip, pixels, contrast, treatment=treatment))


def second_order_heatmap(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    contrast: Float[Tensor, " embed"],
    *,
    layers: Collection[int] | None = None,
    neurons: Collection[Neuron] | None = None,
    treatment: Treatment = "paper",
) -> Float[Tensor, "row column"]:
    """What each patch adds to `cos(target) - cos(true)` through neurons and later heads.

    The token decomposition of sum_n <phi_n(I), v> (Eq. 5 with the norms of Eq. 11): the share of
    the activations on each token. Above zero a patch speaks for the target class.

    Differs from the paper: Fig. 6 maps where neurons are active; this is the exact share of every
    patch in the effects, with their sign and size.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: One preprocessed image.
        contrast: v = M_text(target class) - M_text(true class), of unit class embeddings.
        layers: MLP layers, counted from 0; None for all that have a later head. Given together
            with `neurons`, only those of these layers count.
        neurons: The only ones that count; None for all.
        treatment: Of the layer norms' means, see `lens.basis.EffectBasis`.

    Returns:
        One value per patch, float32 on the CPU, in units of the margin.

    Raises:
        ValueError: If the patches of the model do not form a square, a layer has no later head, or
            there is no such neuron.
    """
    square_side(clip)
    if neurons is not None:
        _check_neurons(clip, neurons)
        named = {neuron.layer for neuron in neurons}
        layers = sorted(named if layers is None else named.intersection(layers))
    elif layers is None:
        layers = range(clip.vision.layers - 1)
    total = torch.zeros(clip.vision.tokens)
    if layers:
        for layer, shares in neuron_shares(clip, pixels, contrast, layers, treatment=treatment):
            if neurons is not None:
                shares = shares[:, [n.index for n in set(neurons) if n.layer == layer]]
            total = total.to(shares.device, shares.dtype) + shares.sum(dim=1)
    return _in_place(clip, pixels, total)


def run_heatmap(
    kind: str,
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    contrast: Float[Tensor, " embed"],
    lens: LensConfig,
) -> Float[Tensor, "row column"]:
    """A heat map as a run's lens settings have it.

    Args:
        kind: ``"first-order"`` or ``"second-order"``; the latter counts the neurons of the run's
            layers that have a later attention layer.
        clip: The attacked model.
        pixels: One preprocessed image.
        contrast: v, as in `first_order_heatmap`.
        lens: Layers and treatment.

    Raises:
        ValueError: If the kind is neither, and see both maps.
    """
    if kind not in ("first-order", "second-order"):
        raise ValueError(f"expected first-order or second-order; got {kind!r}")
    if kind == "first-order":
        return first_order_heatmap(clip, pixels, contrast, treatment=lens.treatment)
    layers = [layer for layer in lens.layers if layer < clip.vision.layers - 1]
    return second_order_heatmap(clip, pixels, contrast, layers=layers, treatment=lens.treatment)


def square_side(clip: ClipModel) -> int:
    """Patches along each side of the square of patches.

    Raises:
        ValueError: If the patches of the model do not form a square: also where their number is
            that of a square (2 rows of 8), since the image is none.
    """
    height, width = clip.image_size
    if height != width:
        raise ValueError(
            f"expected patches in a square; got those of images of {height} x {width} pixels"
        )
    patches = clip.vision.tokens - clip.vision.prefix_tokens
    side = math.isqrt(patches)
    if side * side != patches:
        raise ValueError(f"expected patches in a square; got {patches}")
    return side


def _check_neurons(clip: ClipModel, neurons: Collection[Neuron]) -> None:
    count = clip.vision.neurons
    wrong = [neuron for neuron in neurons if not 0 <= neuron.index < count]
    if wrong:
        raise ValueError(f"expected neurons from 0 to {count - 1}; got {wrong[0]}")


def _in_place(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    shares: Float[Tensor, " token"],
) -> Float[Tensor, "row column"]:
    """The patches' shares as a square, divided by the norm of the image embedding."""
    side = square_side(clip)
    norm = clip.encode_image(pixels, normalize=False)[0].norm()
    patches = shares.to(norm.device)[clip.vision.prefix_tokens :] / norm
    return patches.float().cpu().reshape(side, side)
