"""Attention rows recomputed from captured states: no tower returns them."""

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.models.vision.weights import HeadWeights


def attention_rows(
    normed: Float[Tensor, "image token width"], heads: HeadWeights, queries: slice
) -> Float[Tensor, "image head query token"]:
    """Attention of some tokens over all tokens, for every head.

    A single query is folded into the key weights, so that no key is formed for any token.

    Args:
        normed: What the attention reads (the output of ``ln_1``), any float dtype.
        heads: Weights; their dtype is the result's.
        queries: Tokens whose rows are wanted.
    """
    normed = normed.to(heads.query.dtype)
    query = project(normed[:, queries], heads.query) + heads.query_bias[:, None]
    return scores(query, normed, heads).softmax(dim=-1)


def scores(
    query: Float[Tensor, "image head query head_width"],
    normed: Float[Tensor, "image token width"],
    heads: HeadWeights,
) -> Float[Tensor, "image head query token"]:
    """Scaled products of queries and keys, before the softmax (the key bias left out)."""
    scaled = query * query.shape[-1] ** -0.5
    if query.shape[2] == 1:
        folded = torch.einsum("ihv,hvw->ihw", scaled[:, :, 0], heads.key)
        return (folded @ normed.transpose(1, 2))[:, :, None]
    return scaled @ project(normed, heads.key).transpose(2, 3)


def project(
    normed: Float[Tensor, "image token width"], weight: Float[Tensor, "head head_width width"]
) -> Float[Tensor, "image head token head_width"]:
    """Queries, keys or values of every head, without bias."""
    flat = normed @ weight.flatten(0, 1).T
    return flat.unflatten(-1, weight.shape[:2]).transpose(1, 2)
