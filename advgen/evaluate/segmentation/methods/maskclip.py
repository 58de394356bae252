"""MaskCLIP: in the last block every token attends to itself alone.

Source: Zhou, Loy and Dai, "Extract Free Dense Labels from CLIP", arXiv 2112.01071, Sec. 3.2, in its
released form for vision transformers: queries and keys are dropped, ``W_O (W_V x + b_V) + b_O``
takes the place of attention, the block's residual and MLP stay, and every patch passes the final
norm and projection. Key smoothing and prompt denoising, which need a list of classes, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from advgen.evaluate.segmentation.methods.dense import ChangedLastBlock
from advgen.evaluate.segmentation.protocol import SegmenterInputs


class MaskClip(ChangedLastBlock):
    """Values without attention in the last block.

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
        """See `ChangedLastBlock.mixed`: the values."""
        return qkv[2]
