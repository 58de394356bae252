"""A class-token tower written out: every step of a pass as a tensor that autograd can see.

`VisionTower.capture` reads what the modules compute; attention weights are not among it, since
fused attention never returns them. Here the same pass runs from the weights, so that attention can
be differentiated, replaced or decomposed. It is used where the lens is not enough: gradients and
relevance of attention, and segmentation by a changed last block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from open_clip.transformer import VisionTransformer
from torch import Tensor

from advgen.errors import ModelError
from advgen.models.vision.native import NativeTower
from advgen.models.vision.tower import VisionTower
from advgen.models.vision.weights import NormWeights


@dataclass(frozen=True, slots=True)
class ExplicitBlock:
    """All weights of one residual block; layer scales are folded into what is written.

    Args:
        ln_1: Layer norm before attention.
        qkv: W_Q, W_K, W_V per head.
        qkv_bias: Their biases.
        out: W_O per head, times ``ls_1``.
        out_bias: Its bias, times ``ls_1``.
        ln_2: Layer norm before the MLP.
        rise: The MLP's first map.
        rise_bias: Its bias.
        activation: GELU or QuickGELU.
        writes: The MLP's second map, times ``ls_2``.
        write_bias: Its bias, times ``ls_2``.
    """

    ln_1: NormWeights
    qkv: Float[Tensor, "3 head head_width width"]
    qkv_bias: Float[Tensor, "3 head head_width"]
    out: Float[Tensor, "head width head_width"]
    out_bias: Float[Tensor, " width"]
    ln_2: NormWeights
    rise: Float[Tensor, "neuron width"]
    rise_bias: Float[Tensor, " neuron"]
    activation: Callable[[Tensor], Tensor]
    writes: Float[Tensor, "width neuron"]
    write_bias: Float[Tensor, " width"]

    def project(
        self, normed: Float[Tensor, "image token width"]
    ) -> Float[Tensor, "3 image head token head_width"]:
        """Queries, keys and values of every head, biases included, not scaled."""
        flat = torch.einsum("itw,khvw->kihtv", normed, self.qkv)
        return flat + self.qkv_bias[:, None, :, None]

    def write(
        self, mixed: Float[Tensor, "image head token head_width"]
    ) -> Float[Tensor, "image token width"]:
        """What the heads add to the stream, given attention times values."""
        return torch.einsum("ihtv,hwv->itw", mixed, self.out) + self.out_bias

    def mlp(
        self, stream: Float[Tensor, "image token width"]
    ) -> tuple[Float[Tensor, "image token neuron"], Float[Tensor, "image token width"]]:
        """Post-activations of the neurons, and what they add to the stream."""
        active = self.activation(self.ln_2(stream) @ self.rise.T + self.rise_bias)
        return active, active @ self.writes.T + self.write_bias


@dataclass(frozen=True, slots=True)
class BlockTrace:
    """One block of a pass, in order of computation; all on one autograd graph.

    Attributes:
        entering: Residual stream entering the block.
        normed: What ``ln_1`` makes of it.
        qkv: Queries, keys and values, not scaled.
        attention: Softmax of the scaled products.
        between: Residual stream after the attention.
        activations: Post-GELU neurons p (Eq. 3).
        leaving: Residual stream leaving the block.
    """

    entering: Float[Tensor, "image token width"]
    normed: Float[Tensor, "image token width"]
    qkv: Float[Tensor, "3 image head token head_width"]
    attention: Float[Tensor, "image head token token"]
    between: Float[Tensor, "image token width"]
    activations: Float[Tensor, "image token neuron"]
    leaving: Float[Tensor, "image token width"]


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole pass.

    Attributes:
        blocks: Every block in order.
        representation: Image embedding M_image(I), not normalised.
    """

    blocks: tuple[BlockTrace, ...]
    representation: Float[Tensor, "image embed"]


class ExplicitTower:
    """A class-token vision transformer from its weights, in the tower's working dtype.

    Args:
        tower: View of an open_clip transformer whose embedding is its class token's (CLIP's own).

    Raises:
        ModelError: If the tower is of another kind.
    """

    def __init__(self, tower: VisionTower) -> None:
        visual = tower.visual
        if (
            not isinstance(tower, NativeTower)
            or not isinstance(visual, VisionTransformer)
            or visual.attn_pool is not None
            or visual.pool_type != "tok"
            or visual.proj is None
        ):
            raise ModelError(
                "this needs a vision transformer whose image embedding is its class token's (CLIP,"
                " OpenCLIP); choose another model or another method"
            )
        self._visual = visual
        self.tower = tower
        self.blocks = tuple(_block(tower, layer) for layer in range(tower.layers))
        ln_post: Any = visual.ln_post
        self.final_norm = tower.norm_weights(ln_post)
        self.projection: Float[Tensor, "width embed"] = _wide(tower, visual.proj)

    @property
    def layers(self) -> int:
        """Number of blocks L."""
        return len(self.blocks)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        rows, columns = self._visual.grid_size
        return int(rows), int(columns)

    @torch.no_grad()
    def embed(
        self, pixels: Float[Tensor, "image 3 rows columns"]
    ) -> Float[Tensor, "image token width"]:
        """Residual stream entering block 0; token 0 is the class token."""
        visual = self._visual
        return _wide(self.tower, visual._embeds(pixels.to(self.tower.device, self.tower.dtype)))

    def readout(
        self, stream: Float[Tensor, "image token width"]
    ) -> Float[Tensor, "image token embed"]:
        """Final norm and projection of any tokens; that of token 0 is M_image(I)."""
        return self.final_norm(stream) @ self.projection

    def run_block(self, layer: int, stream: Float[Tensor, "image token width"]) -> BlockTrace:
        """One block, unchanged."""
        block = self.blocks[layer]
        normed = block.ln_1(stream)
        qkv = block.project(normed)
        query, key, value = qkv
        attention = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(dim=-1)
        between = stream + block.write(attention @ value)
        activations, write = block.mlp(between)
        return BlockTrace(stream, normed, qkv, attention, between, activations, between + write)

    def trace(
        self, pixels: Float[Tensor, "image 3 rows columns"], *, differentiable: bool = False
    ) -> Trace:
        """A whole pass with all its steps.

        Args:
            pixels: A small batch of preprocessed images: everything is held in memory.
            differentiable: Whether states carry autograd history, down to the stream entering
                block 0; gradients with respect to an attention matrix are
                ``torch.autograd.grad(score, trace.blocks[l].attention)``.
        """
        with torch.set_grad_enabled(differentiable):
            stream = self.embed(pixels).requires_grad_(differentiable)
            blocks = []
            for layer in range(self.layers):
                blocks.append(self.run_block(layer, stream))
                stream = blocks[-1].leaving
            return Trace(tuple(blocks), self.readout(stream[:, :1])[:, 0])


def _block(tower: VisionTower, layer: int) -> ExplicitBlock:
    view = tower.block(layer)
    block = tower.blocks[layer]
    attn, heads = block.attn, tower.heads
    weight = _wide(tower, attn.in_proj_weight)
    bias = weight.new_zeros(len(weight)) if attn.in_proj_bias is None else attn.in_proj_bias
    rise, fall = block.mlp.c_fc, block.mlp.c_proj
    return ExplicitBlock(
        ln_1=view.ln_1,
        qkv=weight.view(3, heads, -1, weight.shape[1]),
        qkv_bias=_wide(tower, bias).view(3, heads, -1),
        out=view.heads.out,
        out_bias=view.heads.out_bias,
        ln_2=tower.norm_weights(block.ln_2),
        rise=_wide(tower, rise.weight),
        rise_bias=_wide(tower, rise.bias),
        activation=block.mlp.gelu,
        writes=view.writes,
        write_bias=tower.scaled(fall.bias, block.ls_2),
    )


def _wide(tower: VisionTower, tensor: Tensor) -> Tensor:
    return tensor.detach().to(tower.working_dtype)
