"""A typed, read-only view of a vision transformer: its weights, and what it computes.

`VisionTower` holds what is common to all kinds; `native` and `timm_tower` know the module names of
open_clip's own transformer and of timm's.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from advgen.models.vision.pooling import Pooling
from advgen.models.vision.weights import BlockWeights, Capture, HeadWeights, NormWeights

_KINDS = ("activations", "norms", "attention_writes", "outputs")


class VisionTower(ABC):
    """View of a vision transformer; make one with `vision_tower`.

    Args:
        visual: The tower as `CLIP.visual`.
        blocks: Its residual blocks.
    """

    def __init__(self, visual: nn.Module, blocks: Any) -> None:
        self._visual: Any = visual
        self._blocks: Any = blocks

    @property
    def visual(self) -> nn.Module:
        """The tower itself."""
        return self._visual

    @property
    def blocks(self) -> Any:
        """Its residual blocks, with the module names of their kind."""
        return self._blocks

    @property
    def layers(self) -> int:
        """Number of blocks L."""
        return len(self._blocks)

    @property
    def heads(self) -> int:
        """Attention heads per block H."""
        return int(self._blocks[0].attn.num_heads)

    @property
    def neurons(self) -> int:
        """Post-GELU channels per block N."""
        return self._write_map(0).in_features

    @property
    def width(self) -> int:
        """Size of the residual stream D."""
        return self._write_map(0).out_features

    @property
    @abstractmethod
    def tokens(self) -> int:
        """Tokens per image T, class and register tokens included."""

    @property
    @abstractmethod
    def prefix_tokens(self) -> int:
        """Tokens before the first patch (the class token; none in SigLIP)."""

    @property
    @abstractmethod
    def embed_dim(self) -> int:
        """Size of the joint space d."""

    @property
    def dtype(self) -> torch.dtype:
        """Number format that pixels must have."""
        return self._write_map(0).weight.dtype

    @property
    def working_dtype(self) -> torch.dtype:
        """Number format of the lens's sums: float64 for a float64 tower, else float32."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self._write_map(0).weight.device

    @cached_property
    def pooling(self) -> Pooling:
        """How the last residual stream becomes the embedding."""
        return self._pooling()

    def block(self, layer: int) -> BlockWeights:
        """Weights of block `layer`, in the working dtype.

        Raises:
            ValueError: If there is no such block.
        """
        if not 0 <= layer < self.layers:
            raise ValueError(f"layer must be in 0..{self.layers - 1}; got {layer}")
        block = self._blocks[layer]
        return BlockWeights(
            ln_1=self.norm_weights(self._norm_1(block)),
            heads=self._heads(block),
            writes=self.scaled(self._write_map(layer).weight, self._scale_2(block)),
        )

    @torch.no_grad()
    def capture(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        *,
        activations: Collection[int] = (),
        norms: Collection[int] = (),
        attention_writes: Collection[int] = (),
        outputs: Collection[int] = (),
    ) -> Capture:
        """Run the tower and keep inner states.

        Args:
            pixels: Normalised pixels; moved to the tower's device and dtype.
            activations: Layers whose post-GELU activations are kept.
            norms: Layers whose ``ln_1`` input and output are kept.
            attention_writes: Layers whose attention's write is kept.
            outputs: Layers whose output stream is kept.

        Returns:
            The states, without autograd history, aliasing nothing that a later pass writes.
        """
        capture = Capture()
        wanted = (activations, norms, attention_writes, outputs)
        with self._hooks(capture, dict(zip(_KINDS, wanted, strict=True))):
            output = self._visual(pixels.to(self.device, self.dtype))
        capture.representation = self._embedding(output)
        return capture

    @torch.no_grad()
    def finish(
        self, stream: Float[Tensor, "image token width"], layer: int
    ) -> Float[Tensor, "image embed"]:
        """Run blocks `layer` and later, and the pooling, on a residual stream.

        Args:
            stream: Residual stream entering block `layer`.
            layer: First block to run; the number of blocks for the pooling alone.

        Returns:
            Image embeddings, not normalised, in the working dtype.
        """
        stream = stream.to(self.dtype)
        for block in self._blocks[layer:]:
            stream = block(stream)
        return self._embedding(self._pool(stream))

    @contextmanager
    def _hooks(self, capture: Capture, wanted: dict[str, Collection[int]]) -> Iterator[None]:
        def keep(states: dict[int, Tensor], layer: int, module, args, output):
            states[layer] = output

        def keep_norm(layer: int, module, args, output):
            capture.residuals[layer], capture.normed[layer] = args[0], output

        def keep_final(module, args, output):
            capture.final = output

        handles = [self._blocks[-1].register_forward_hook(keep_final)]
        try:
            for layer in wanted["activations"]:
                hook = partial(keep, capture.activations, layer)
                handles.append(self._activation(layer).register_forward_hook(hook))
            for layer in wanted["norms"]:
                norm = self._norm_1(self._blocks[layer])
                handles.append(norm.register_forward_hook(partial(keep_norm, layer)))
            for layer in wanted["attention_writes"]:
                hook = partial(keep, capture.attention_writes, layer)
                handles.append(self._scale_1(self._blocks[layer]).register_forward_hook(hook))
            for layer in wanted["outputs"]:
                hook = partial(keep, capture.outputs, layer)
                handles.append(self._blocks[layer].register_forward_hook(hook))
            yield
        finally:
            for handle in handles:
                handle.remove()

    @abstractmethod
    def _pooling(self) -> Pooling: ...

    @abstractmethod
    def _pool(self, stream: Tensor) -> Any:
        """What the tower returns for a last residual stream."""

    @abstractmethod
    def _norm_1(self, block: Any) -> nn.LayerNorm: ...

    @abstractmethod
    def _scale_1(self, block: Any) -> nn.Module: ...

    @abstractmethod
    def _scale_2(self, block: Any) -> nn.Module: ...

    @abstractmethod
    def _activation(self, layer: int) -> nn.Module: ...

    @abstractmethod
    def _write_map(self, layer: int) -> nn.Linear: ...

    @abstractmethod
    def _heads(self, block: Any) -> HeadWeights: ...

    def _embedding(self, output: Any) -> Tensor:
        return self._wide(output[0] if isinstance(output, tuple) else output)

    def _wide(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self.working_dtype)

    def _zeros(self, size: int) -> Tensor:
        return torch.zeros(size, dtype=self.working_dtype, device=self.device)

    def norm_weights(self, norm: nn.LayerNorm) -> NormWeights:
        """A layer norm in the working dtype; ones and zeros where it has no weights."""
        (width,) = norm.normalized_shape
        weight = self._zeros(width) + 1 if norm.weight is None else self._wide(norm.weight)
        bias = self._zeros(width) if norm.bias is None else self._wide(norm.bias)
        return NormWeights(weight, bias, norm.eps)

    def _split(
        self,
        weight: Float[Tensor, "three_width width"],
        bias: Tensor | None,
        out: nn.Linear,
        heads: int,
        scale: nn.Module | None = None,
    ) -> HeadWeights:
        """Head weights from one matrix of rows q | k | v and an output projection."""
        weight = self._wide(weight)
        bias = self._zeros(len(weight)) if bias is None else self._wide(bias)
        query, key, value = weight.view(3, heads, -1, weight.shape[1])
        query_bias, _, value_bias = bias.view(3, heads, -1)
        return HeadWeights(query, query_bias, key, value, value_bias, *self._out(out, heads, scale))

    def _out(
        self, out: nn.Linear, heads: int, scale: nn.Module | None = None
    ) -> tuple[Tensor, Tensor]:
        weight = self.scaled(out.weight, scale)
        bias = self._zeros(len(weight)) if out.bias is None else self.scaled(out.bias, scale)
        return weight.view(len(weight), heads, -1).transpose(0, 1), bias

    def scaled(self, weight: Tensor, scale: nn.Module | None) -> Tensor:
        """A weight or bias in the working dtype, times a layer scale where the block has one."""
        wide = self._wide(weight)
        if scale is None or isinstance(scale, nn.Identity):
            return wide
        gamma: Any = scale.gamma  # a LayerScale, checked when the tower was viewed
        gamma = self._wide(gamma)
        return wide * (gamma if wide.ndim == 1 else gamma[:, None])
