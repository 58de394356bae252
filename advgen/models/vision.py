"""A typed, read-only view of a class-token open_clip vision transformer, and what it computes.

`VisionTower` names the weights that the lens needs in the shapes it needs them, and captures the
inner states of a forward pass. Only open_clip's own transformer with class-token pooling is read;
anything else is refused by name.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from open_clip.transformer import (
    LayerScale,
    ResidualAttentionBlock,
    VisionTransformer,
)
from torch import Tensor, nn

from advgen.errors import ModelError


@dataclass(frozen=True, slots=True)
class NormWeights:
    """A layer norm: ``weight * (x - mean) / sqrt(var + eps) + bias``, biased variance."""

    weight: Float[Tensor, " width"]
    bias: Float[Tensor, " width"]
    eps: float


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """Weights of one residual block; layer scales are folded in where the block has them.

    Args:
        ln_1: Layer norm before attention.
        query: W_Q per head.
        query_bias: Its bias. The key bias shifts a whole attention row and cancels.
        key: W_K per head.
        value: W_V per head.
        out: W_O per head, times ``ls_1``.
        writes: Column n is w_n, what neuron n writes per unit of activation, times ``ls_2``.
    """

    ln_1: NormWeights
    query: Float[Tensor, "head head_width width"]
    query_bias: Float[Tensor, "head head_width"]
    key: Float[Tensor, "head head_width width"]
    value: Float[Tensor, "head head_width width"]
    out: Float[Tensor, "head width head_width"]
    writes: Float[Tensor, "width neuron"]


@dataclass(slots=True)
class Capture:
    """Inner states of one forward pass, in the tower's own dtype.

    Args:
        activations: Layer -> post-GELU activations p (Eq. 3), ``[image, token, neuron]``.
        residuals: Layer -> residual stream entering ``ln_1``, ``[image, token, width]``.
        normed: Layer -> what ``ln_1`` makes of it, ``[image, token, width]``.
        final: Class token's residual stream entering ``ln_post``, ``[image, width]``.
        representation: Image embedding M_image(I), not normalised, ``[image, embed]``.
    """

    activations: dict[int, Float[Tensor, "image token neuron"]] = field(default_factory=dict)
    residuals: dict[int, Float[Tensor, "image token width"]] = field(default_factory=dict)
    normed: dict[int, Float[Tensor, "image token width"]] = field(default_factory=dict)
    final: Float[Tensor, "image width"] = field(default_factory=lambda: torch.empty(0))
    representation: Float[Tensor, "image embed"] = field(default_factory=lambda: torch.empty(0))


class VisionTower:
    """View of a class-token vision transformer. Make one with `VisionTower.of`."""

    def __init__(self, visual: VisionTransformer) -> None:
        self._visual: Any = visual

    @classmethod
    def of(cls, visual: nn.Module) -> "VisionTower":
        """View an open_clip vision tower.

        Raises:
            ModelError: If it is not open_clip's own transformer with plain blocks and class-token
                pooling; the message names what it is.
        """
        if not isinstance(visual, VisionTransformer):
            raise _unsupported(f"a {type(visual).__name__}")
        if visual.attn_pool is not None:
            raise _unsupported("a transformer with attention pooling")
        if visual.pool_type != "tok":
            raise _unsupported(f"a transformer with '{visual.pool_type}' pooling")
        if visual.output_tokens:
            raise _unsupported("a transformer that returns its tokens (output_tokens=True)")
        for block in visual.transformer.resblocks:
            if not isinstance(block, ResidualAttentionBlock):
                raise _unsupported(f"a transformer of {type(block).__name__} blocks")
        return cls(visual)

    @property
    def layers(self) -> int:
        """Number of blocks L."""
        return len(self._blocks)

    @property
    def heads(self) -> int:
        """Attention heads per block H."""
        return self._blocks[0].attn.num_heads

    @property
    def neurons(self) -> int:
        """Post-GELU channels per block N."""
        return self._blocks[0].mlp.c_proj.in_features

    @property
    def width(self) -> int:
        """Size of the residual stream D."""
        return self._blocks[0].mlp.c_proj.out_features

    @property
    def tokens(self) -> int:
        """Tokens per image T, the class token (index 0) included."""
        return self._visual.positional_embedding.shape[0]

    @property
    def embed_dim(self) -> int:
        """Size of the joint space d."""
        return self._visual.proj.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Number format that pixels must have."""
        return self._visual.conv1.weight.dtype

    @property
    def working_dtype(self) -> torch.dtype:
        """Number format of the lens's sums: float64 for a float64 tower, else float32."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self._visual.conv1.weight.device

    @property
    def ln_post(self) -> NormWeights:
        """Layer norm on the pooled class token."""
        return self._norm(self._visual.ln_post)

    @property
    def projection(self) -> Float[Tensor, "width embed"]:
        """P transposed, the map into the joint space."""
        return self._wide(self._visual.proj)

    def block(self, layer: int) -> BlockWeights:
        """Weights of block `layer`, in the working dtype.

        Raises:
            ValueError: If there is no such block.
        """
        if not 0 <= layer < self.layers:
            raise ValueError(f"layer must be in 0..{self.layers - 1}; got {layer}")
        block = self._blocks[layer]
        heads, width = self.heads, self.width
        query, key, value = self._wide(block.attn.in_proj_weight).view(3, heads, -1, width)
        out = self._scaled(block.attn.out_proj.weight, block.ls_1)
        return BlockWeights(
            ln_1=self._norm(block.ln_1),
            query=query,
            query_bias=self._wide(block.attn.in_proj_bias).view(3, heads, -1)[0],
            key=key,
            value=value,
            out=out.view(width, heads, -1).transpose(0, 1),
            writes=self._scaled(block.mlp.c_proj.weight, block.ls_2),
        )

    @torch.no_grad()
    def capture(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        *,
        activations: Collection[int] = (),
        norms: Collection[int] = (),
    ) -> Capture:
        """Run the tower and keep inner states.

        Args:
            pixels: Normalised pixels; moved to the tower's device and dtype.
            activations: Layers whose post-GELU activations are kept.
            norms: Layers whose ``ln_1`` input and output are kept.

        Returns:
            The states, without autograd history, aliasing nothing that a later pass writes.
        """
        capture = Capture()
        with self._hooks(capture, activations, norms):
            output = self._visual(pixels.to(self.device, self.dtype))
        capture.representation = self._wide(output)
        return capture

    @contextmanager
    def _hooks(
        self, capture: Capture, activations: Collection[int], norms: Collection[int]
    ) -> Iterator[None]:
        def keep_activation(layer: int):
            def hook(module, args, output):
                capture.activations[layer] = output

            return hook

        def keep_norm(layer: int):
            def hook(module, args, output):
                capture.residuals[layer], capture.normed[layer] = args[0], output

            return hook

        def keep_final(module, args):
            # ln_post sees [image, token, width] before pooling or [image, width] after it
            capture.final = args[0] if args[0].ndim == 2 else args[0][:, 0]

        handles = [self._visual.ln_post.register_forward_pre_hook(keep_final)]
        try:
            for layer in activations:
                gelu = self._blocks[layer].mlp.gelu
                handles.append(gelu.register_forward_hook(keep_activation(layer)))
            for layer in norms:
                norm = self._blocks[layer].ln_1
                handles.append(norm.register_forward_hook(keep_norm(layer)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    @property
    def _blocks(self) -> Any:
        return self._visual.transformer.resblocks

    def _wide(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self.working_dtype)

    def _norm(self, norm: nn.LayerNorm) -> NormWeights:
        (width,) = norm.normalized_shape
        like = {"dtype": self.working_dtype, "device": self.device}
        weight = torch.ones(width, **like) if norm.weight is None else self._wide(norm.weight)
        bias = torch.zeros(width, **like) if norm.bias is None else self._wide(norm.bias)
        return NormWeights(weight, bias, norm.eps)

    def _scaled(self, weight: Tensor, scale: nn.Module) -> Tensor:
        wide = self._wide(weight)
        return wide * self._wide(scale.gamma)[:, None] if isinstance(scale, LayerScale) else wide


def _unsupported(what: str) -> ModelError:
    return ModelError(
        f"the vision tower is {what}; the lens reads open_clip's own vision transformer with "
        "class-token pooling (ViT-B-32, ViT-B-16, ViT-L-14 and alike)"
    )
