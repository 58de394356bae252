"""What is read from a vision tower: weights by their role, and the inner states of one pass."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class NormWeights:
    """A layer norm: ``weight * (x - mean) / sqrt(var + eps) + bias``, biased variance."""

    weight: Float[Tensor, " width"]
    bias: Float[Tensor, " width"]
    eps: float

    def scale(self, x: Float[Tensor, "*token width"]) -> Float[Tensor, " *token"]:
        """Sigma, the denominator: sqrt(var + eps), in the format of the weights."""
        wide = x.to(self.weight.dtype)
        centred = wide - wide.mean(dim=-1, keepdim=True)  # cheaper than var()
        return (centred.square().mean(dim=-1) + self.eps).sqrt()

    def __call__(self, x: Float[Tensor, "*token width"]) -> Float[Tensor, "*token width"]:
        """The norm itself, in the format of the weights."""
        wide = x.to(self.weight.dtype)
        return nn.functional.layer_norm(wide, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """The projections of a multi-head attention, head by head.

    The key bias is left out: it shifts a whole attention row and cancels in the softmax.

    Args:
        query: W_Q per head.
        query_bias: Its bias.
        key: W_K per head.
        value: W_V per head.
        value_bias: Its bias.
        out: W_O per head.
        out_bias: Its bias, once for all heads.
    """

    query: Float[Tensor, "head head_width query_width"]
    query_bias: Float[Tensor, "head head_width"]
    key: Float[Tensor, "head head_width width"]
    value: Float[Tensor, "head head_width width"]
    value_bias: Float[Tensor, "head head_width"]
    out: Float[Tensor, "head out_width head_width"]
    out_bias: Float[Tensor, " out_width"]


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """Weights of one residual block; layer scales are folded in where the block has them.

    Args:
        ln_1: Layer norm before attention.
        heads: The attention; ``out`` and ``out_bias`` times ``ls_1``.
        writes: Column n is w_n, what neuron n writes per unit of activation, times ``ls_2``.
    """

    ln_1: NormWeights
    heads: HeadWeights
    writes: Float[Tensor, "width neuron"]


@dataclass(slots=True)
class Capture:
    """Inner states of one forward pass, in the tower's own dtype.

    Args:
        activations: Layer -> post-GELU activations p (Eq. 3), ``[image, token, neuron]``.
        residuals: Layer -> residual stream entering ``ln_1``, ``[image, token, width]``.
        normed: Layer -> what ``ln_1`` makes of it, ``[image, token, width]``.
        attention_writes: Layer -> what all heads add to the stream, ``[image, token, width]``.
        outputs: Layer -> residual stream leaving the block, ``[image, token, width]``.
        final: Residual stream leaving the last block, ``[image, token, width]``.
        representation: Image embedding M_image(I), not normalised, ``[image, embed]``.
    """

    activations: dict[int, Float[Tensor, "image token neuron"]] = field(default_factory=dict)
    residuals: dict[int, Float[Tensor, "image token width"]] = field(default_factory=dict)
    normed: dict[int, Float[Tensor, "image token width"]] = field(default_factory=dict)
    attention_writes: dict[int, Float[Tensor, "image token width"]] = field(default_factory=dict)
    outputs: dict[int, Float[Tensor, "image token width"]] = field(default_factory=dict)
    final: Float[Tensor, "image token width"] = field(default_factory=lambda: torch.empty(0, 0, 0))
    representation: Float[Tensor, "image embed"] = field(default_factory=lambda: torch.empty(0, 0))
