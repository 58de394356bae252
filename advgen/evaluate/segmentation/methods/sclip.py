"""SCLIP: in the last block tokens attend to tokens of alike queries and of alike keys.

Source: Wang, Mei and Yuille, "SCLIP: Rethinking Self-Attention for Dense Vision-Language
Inference", arXiv 2312.01597, Eq. 3: ``softmax(q q^T / sqrt(d)) + softmax(k k^T / sqrt(d))``, a sum
and not a mean, times the values; residual and MLP of the block stay.
"""

from __future__ import annotations

from torch import Tensor

from advgen.evaluate.segmentation.methods.dense import ChangedLastBlock, self_attention


class Sclip(ChangedLastBlock):
    """Correlative self-attention in the last block.

    Residual and MLP are kept, as in the source; see `ChangedLastBlock` for the options.
    """

    def mixed(self, qkv: Tensor) -> Tensor:
        """See `ChangedLastBlock.mixed`."""
        query, key, value = qkv
        return (self_attention(query) + self_attention(key)) @ value
