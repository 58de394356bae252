"""What the pooled token takes from every token through the heads of one block.

Class-token pooling only: the pooled token's attention row is the class token's. Other poolings
replace this row (02-lens, section 5) and nothing else of the lens.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.models.vision import BlockWeights


def class_attention(
    normed: Float[Tensor, "image token width"], block: BlockWeights
) -> Float[Tensor, "image head token"]:
    """The class token's attention row a^{l',h} of every head.

    The one query is folded into the key weights, so no key is formed for any token; the key bias
    shifts the whole row and cancels in the softmax.

    Args:
        normed: Output of the block's ``ln_1``, any float dtype.
        block: Weights of that block; their dtype is the result's.
    """
    normed = normed.to(block.query.dtype)
    query = torch.einsum("iw,hvw->ihv", normed[:, 0], block.query) + block.query_bias
    folded = torch.einsum("ihv,hvw->ihw", query, block.key)
    scores = folded @ normed.transpose(1, 2)
    return (scores * block.query.shape[1] ** -0.5).softmax(dim=-1)


def token_scale(residual: Float[Tensor, "*token width"], eps: float) -> Float[Tensor, " *token"]:
    """Sigma, the denominator of a layer norm: sqrt(var + eps) with biased variance."""
    centred = residual - residual.mean(dim=-1, keepdim=True)  # cheaper than var()
    return (centred.square().mean(dim=-1) + eps).sqrt()


def scaled_attention(
    residual: Float[Tensor, "image token width"],
    normed: Float[Tensor, "image token width"],
    block: BlockWeights,
) -> Float[Tensor, "image head token"]:
    """The weight a_i / sigma_i of token i's residual stream in the class token (Eq. 11).

    Args:
        residual: Residual stream entering the block's ``ln_1``.
        normed: What ``ln_1`` makes of it.
        block: Weights of that block.
    """
    sigma = token_scale(residual.to(block.query.dtype), block.ln_1.eps)
    return class_attention(normed, block) / sigma[:, None, :]
