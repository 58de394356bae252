"""What the image embedding takes from every token through the heads of one block."""

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.models.vision import BlockWeights
from advgen.models.vision.attention import attention_rows

_ROW_BYTES = 256 << 20


def pooled_attention(
    normed: Float[Tensor, "image token width"],
    block: BlockWeights,
    weights: Float[Tensor, "image pool query"],
    queries: slice,
) -> Float[Tensor, "image head pool token"]:
    """Attention rows a^{l',h}, mixed over the tokens that the pooling reads.

    ``abar[h,j,i] = sum_t c[j,t] a[h,t,i]``: for a class token its own row divided by sigma_post.
    Images are taken a few at a time where the rows of all tokens are needed.

    Args:
        normed: Output of the block's ``ln_1``, any float dtype.
        block: Weights of that block; their dtype is the result's.
        weights: c of `Pooling.weights`.
        queries: `Pooling.tokens`.
    """
    per_image = weights.shape[2] * normed.shape[1] * block.heads.key.shape[0]
    step = max(1, _ROW_BYTES // (per_image * weights.element_size()))
    parts = []
    for start in range(0, len(normed), step):
        some = slice(start, start + step)
        rows = attention_rows(normed[some], block.heads, queries)
        parts.append(weights[some, None] @ rows)
    return torch.cat(parts)


def scaled_attention(
    residual: Float[Tensor, "image token width"],
    normed: Float[Tensor, "image token width"],
    block: BlockWeights,
    weights: Float[Tensor, "image pool query"],
    queries: slice,
) -> Float[Tensor, "image head pool token"]:
    """The weight abar_i / sigma_i of token i's residual stream in the embedding (Eq. 11).

    Args:
        residual: Residual stream entering the block's ``ln_1``.
        normed: What ``ln_1`` makes of it.
        block: Weights of that block.
        weights: c of `Pooling.weights`.
        queries: `Pooling.tokens`.
    """
    sigma = block.ln_1.scale(residual)
    return pooled_attention(normed, block, weights, queries) / sigma[:, None, None, :]
