"""GEM: a second path through the last blocks on which alike tokens gather.

Source: Bousselham et al., "Grounding Everything: Emerging Localization Properties in
Vision-Language Transformers", arXiv 2312.00878, Sec. 3, with the released code's settings. In each
of the last blocks queries, keys and values, each for itself, are made unit vectors per head and
attend to themselves: ``x <- softmax(x x^T / tau) x``, some times over; the attention that is then
left is applied to the values, the three results are averaged and written by the out projection.
``1 / tau`` is the mean norm of the image's tokens entering attention, over sqrt(head width). The
path has its residual and no MLP; the blocks themselves run unchanged beside it and feed it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.methods.dense import PatchSimilarity
from advgen.evaluate.segmentation.protocol import SegmenterInputs

_BLOCKS = 6


class Gem(PatchSimilarity):
    """Self-self attention of queries, keys and values in the last blocks.

    Differs from the released code: the number of blocks is bounded by half of the tower's, so that
    small towers are not changed as a whole.

    Args:
        inputs: See `SegmenterInputs`; the model must have a class token.
        blocks: How many of the last blocks; by default the released 6, at most half of them.
        iterations: Times that tokens gather before the attention is taken.
        inverse_temperature: 1 / tau, the same for all; by default each image's own as above.
        contrast: Names of other classes whose mean cosine is taken off.

    Raises:
        ConfigError: If `blocks` or `iterations` is out of range.
        ModelError: If the tower's embedding is not its class token's.
    """

    def __init__(
        self,
        inputs: SegmenterInputs,
        *,
        blocks: int | None = None,
        iterations: int = 1,
        inverse_temperature: float | None = None,
        contrast: Sequence[str] = (),
    ) -> None:
        super().__init__(inputs, contrast=contrast)
        layers = self.tower.layers
        chosen = max(1, min(_BLOCKS, layers // 2)) if blocks is None else blocks
        if not 1 <= chosen <= layers:
            raise ConfigError(f"gem: blocks must be from 1 to {layers}; got {chosen}")
        if iterations < 0:
            raise ConfigError(f"gem: iterations must be 0 or more; got {iterations}")
        self._layers = range(layers - chosen, layers)
        self._iterations, self._inverse = iterations, inverse_temperature

    def stream(self, pixels: Tensor) -> Tensor:
        """See `PatchSimilarity.stream`."""
        capture = self.vision.capture(pixels, norms=self._layers)
        dtype = self.vision.working_dtype
        stream = capture.residuals[self._layers[0]].to(dtype)
        for layer in self._layers:
            stream = stream + self._write(layer, capture.normed.pop(layer).to(dtype))
        return stream

    def _write(
        self, layer: int, normed: Float[Tensor, "image token width"]
    ) -> Float[Tensor, "image token width"]:
        block = self.tower.blocks[layer]
        qkv = block.project(normed)
        inverse = self._inverse_temperature(normed, qkv.shape[-1])
        gathered = F.normalize(qkv, dim=-1)
        for _ in range(self._iterations):
            gathered = F.normalize(_attention(gathered, inverse) @ gathered, dim=-1)
        return block.write((_attention(gathered, inverse) @ qkv[2]).mean(dim=0))

    def _inverse_temperature(self, normed: Tensor, head_width: int) -> Float[Tensor, "image 1 1 1"]:
        if self._inverse is not None:
            return normed.new_full((len(normed), 1, 1, 1), self._inverse)
        return (normed.norm(dim=-1).mean(dim=1) * head_width**-0.5)[:, None, None, None]


def _attention(
    x: Float[Tensor, "3 image head token head_width"], inverse: Float[Tensor, "image 1 1 1"]
) -> Float[Tensor, "3 image head token token"]:
    return torch.softmax(x @ x.transpose(3, 4) * inverse, dim=-1)
