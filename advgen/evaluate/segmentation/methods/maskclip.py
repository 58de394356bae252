"""MaskCLIP: in the last block every token attends to itself alone.

Source: Zhou, Loy and Dai, "Extract Free Dense Labels from CLIP", arXiv 2112.01071, Sec. 3.2, in its
released form for vision transformers: queries and keys are dropped, ``W_O (W_V x + b_V) + b_O``
takes the place of attention, the block's residual and MLP stay, and every patch passes the final
norm and projection. Key smoothing and prompt denoising, which need a list of classes, are left out.
"""

from __future__ import annotations

from torch import Tensor

from advgen.evaluate.segmentation.methods.dense import ChangedLastBlock


class MaskClip(ChangedLastBlock):
    """Values without attention in the last block.

    Residual and MLP are kept, as in the source; see `ChangedLastBlock` for the options.
    """

    def mixed(self, qkv: Tensor) -> Tensor:
        """See `ChangedLastBlock.mixed`: the values."""
        return qkv[2]
