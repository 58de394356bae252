"""SCLIP: in the last block tokens attend to tokens of alike queries and of alike keys.

Source: Wang, Mei and Yuille, "SCLIP: Rethinking Self-Attention for Dense Vision-Language
Inference", arXiv 2312.01597, Eq. 3: ``softmax(q q^T / sqrt(d)) + softmax(k k^T / sqrt(d))``, a sum
and not a mean, times the values; residual and MLP of the block stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from advgen.evaluate.segmentation.methods.dense import ChangedLastBlock, self_attention
from advgen.evaluate.segmentation.protocol import SegmenterInputs


class Sclip(ChangedLastBlock):
    """Correlative self-attention in the last block.

    Args:
        inputs: See `SegmenterInputs`; the model must have a class token.
        residual: Keep the last block's residual, as the source does.
        mlp: Keep its MLP, as the source does.
        contrast: Names of other classes whose mean cosine is taken off.

    Raises:
        ModelError: If the tower's embedding is not its class token's.
    """

    def __init__(
        self,
        inputs: SegmenterInputs,
        *,
        residual: bool = True,
        mlp: bool = True,
        contrast: Sequence[str] = (),
    ) -> None:
        super().__init__(inputs, residual=residual, mlp=mlp, contrast=contrast)

    def mixed(self, qkv: Tensor) -> Tensor:
        """See `ChangedLastBlock.mixed`."""
        query, key, value = qkv
        return (self_attention(query) + self_attention(key)) @ value
