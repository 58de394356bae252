"""ClearCLIP: what attention among alike queries writes in the last block, and nothing else.

Source: Lan et al., "ClearCLIP: Decomposing CLIP Representations for Dense Vision-Language
Inference", arXiv 2407.12442, Sec. 3.3: the last block without residual and MLP, its attention
``softmax(q q^T / sqrt(d))``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from advgen.evaluate.segmentation.methods.dense import ChangedLastBlock, self_attention
from advgen.evaluate.segmentation.protocol import SegmenterInputs


class ClearClip(ChangedLastBlock):
    """Query-query attention of the last block alone.

    Args:
        inputs: See `SegmenterInputs`; the model must have a class token.
        residual: Keep the last block's residual; the source drops it.
        mlp: Keep its MLP; the source drops it.
        contrast: Names of other classes whose mean cosine is taken off.

    Raises:
        ModelError: If the tower's embedding is not its class token's.
    """

    def __init__(
        self,
        inputs: SegmenterInputs,
        *,
        residual: bool = False,
        mlp: bool = False,
        contrast: Sequence[str] = (),
    ) -> None:
        super().__init__(inputs, residual=residual, mlp=mlp, contrast=contrast)

    def mixed(self, qkv: Tensor) -> Tensor:
        """See `ChangedLastBlock.mixed`."""
        query, _, value = qkv
        return self_attention(query) @ value
