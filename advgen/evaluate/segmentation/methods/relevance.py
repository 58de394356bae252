"""Layer-wise relevance propagation: how a score is shared out among what made it.

The rules are those that Chefer et al. 2021 (arXiv 2012.09838, Sec. 3) take for a vision
transformer: Deep Taylor's z+ for linear maps (alpha = 1, beta = 0; Binder et al. 2016, arXiv
1604.00825), proportional shares for sums and products, and identity through layer norm, activation
and softmax. Each takes the relevance of what it computes and gives that of what it read; unless
said otherwise their sums are equal, image by image.

A share of something that is zero is zero: there alone relevance is lost.

Differs from the public code in three places. It adds 1e-9 to every
denominator whatever its sign; nothing is added here. Its layers for the rows LRP and partial LRP
(not those for Chefer et al.) divide the negative inputs' part of a linear map by twice that part
instead of by the sum of both; here both parts have the paper's denominator. And it computes in
float32: where residual sums nearly cancel their shares are large, and rounding there is
carried down; here the blocks are passed in float64 (`in_float64`).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.models.vision.explicit import BlockTrace, ExplicitBlock, ExplicitTower, Trace

Sharing = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def quotient(part: Float[Tensor, "*any"], whole: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """``part / whole``, and zero where the whole is zero or too small to divide by."""
    zero = whole.abs() < torch.finfo(whole.dtype).tiny
    return torch.where(zero, 0, part) / torch.where(zero, 1, whole)


def through_linear(
    x: Float[Tensor, "*row inner"],
    weight: Float[Tensor, "outer inner"],
    relevance: Float[Tensor, "*row outer"],
) -> Float[Tensor, "*row inner"]:
    """The z+ rule: shares in proportion to the positive part of ``w_ji x_i``.

    ``R_i = sum_j (w_ji x_i)^+ / sum_k (w_jk x_k)^+ R_j``. The bias takes no part, so that the sum
    is kept; an output without a positive contribution loses its relevance.

    Args:
        x: Input of the map, of any sign.
        weight: Its matrix.
        relevance: Relevance of its output.
    """
    up, down = x.clamp(min=0), x.clamp(max=0)
    plus, minus = weight.clamp(min=0), weight.clamp(max=0)
    share = quotient(relevance, up @ plus.T + down @ minus.T)
    return up * (share @ plus) + down * (share @ minus)


def through_sum(
    a: Float[Tensor, "image token width"],
    b: Float[Tensor, "image token width"],
    relevance: Float[Tensor, "image token width"],
) -> tuple[Float[Tensor, "image token width"], Float[Tensor, "image token width"]]:
    """Shares of ``a + b`` in proportion to a and b, number by number.

    ``R_a = a / (a + b) R``. The sum is kept, but where a and b nearly cancel both shares are large
    and of opposite sign: relevance grows from layer to layer without bound.
    """
    share = quotient(relevance, a + b)
    return a * share, b * share


def through_sum_normalized(
    a: Float[Tensor, "image token width"],
    b: Float[Tensor, "image token width"],
    relevance: Float[Tensor, "image token width"],
) -> tuple[Float[Tensor, "image token width"], Float[Tensor, "image token width"]]:
    """`through_sum`, then each share scaled so that neither outgrows the whole.

    ``R_a |S_a| / (|S_a| + |S_b|) S / S_a`` with ``S_a`` the image's sum of R_a and S that of R
    (Chefer et al. 2021, Sec. 3.2). The sum is kept unless ``S_a`` or ``S_b`` alone is zero.
    Differs from the public code, which sums over the batch, always of one image there.
    """
    shares = through_sum(a, b, relevance)
    sums = [share.flatten(1).sum(dim=1) for share in shares]
    whole = relevance.flatten(1).sum(dim=1)
    size = sums[0].abs() + sums[1].abs()
    scaled = []
    for share, total in zip(shares, sums, strict=True):
        factor = quotient(quotient(total.abs(), size) * whole, total)
        scaled.append(share * factor.view(-1, *[1] * (share.ndim - 1)))
    return scaled[0], scaled[1]


def through_product(
    left: Float[Tensor, "*batch row inner"],
    right: Float[Tensor, "*batch inner column"],
    relevance: Float[Tensor, "*batch row column"],
) -> tuple[Float[Tensor, "*batch row inner"], Float[Tensor, "*batch inner column"]]:
    """Half of the relevance of a matrix product to each factor, in proportion to its terms.

    ``R_left,ik = sum_j left_ik right_kj / (left right)_ij R_ij / 2``, the same for the right one
    (Chefer et al. 2021, Sec. 3.2); the halves keep the sum. The paper scales these shares as in
    `through_sum_normalized`; as both factors' shares have the same sum, that is to halve them.
    """
    share = quotient(relevance, left @ right) / 2
    return left * (share @ right.mT), right * (left.mT @ share)


def in_float64(tower: ExplicitTower) -> ExplicitTower:
    """The tower with blocks and readout in float64; what enters block 0 is the model's own.

    A small difference of a residual sum that nearly cancels changes its shares much, so that deep
    relevance in float32 can be shared out quite otherwise. Apple's accelerators have no float64:
    there the tower stays as it is.

    Args:
        tower: The tower; it is not changed.
    """
    if tower.projection.device.type == "mps":
        return tower
    wide = copy(tower)
    wide.blocks = tuple(_in_float64(block) for block in tower.blocks)
    wide.final_norm = _in_float64(tower.final_norm)
    wide.projection = tower.projection.double()
    return wide


def _in_float64(weights: Any) -> Any:
    if isinstance(weights, Tensor):
        return weights.double()
    if not is_dataclass(weights):
        return weights
    return type(weights)(**{f.name: _in_float64(getattr(weights, f.name)) for f in fields(weights)})


@dataclass(frozen=True, slots=True)
class RelevancePass:
    """Relevance of the steps of a pass, in the dtype of the pass.

    Attributes:
        streams: Layer -> relevance of the stream entering the block.
        attention: Layer -> relevance of the attention's weights.
    """

    streams: dict[int, Float[Tensor, "image token width"]]
    attention: dict[int, Float[Tensor, "image head token token"]]


@torch.no_grad()
def propagate(
    tower: ExplicitTower,
    trace: Trace,
    classes: Float[Tensor, "image embed"],
    *,
    residual: Sharing = through_sum,
    until: int = 0,
) -> RelevancePass:
    """Share out a relevance of one, that of the class's score, from the readout downwards.

    The last map is taken as one linear map from the normed class token to the score, with the
    weight ``P c``, as a classifier's head. One is where the public code starts too, whatever the
    score; the result is in shares of the score.

    The relevance of the stream entering any block sums to one for every image, apart from that
    of units with nothing to share it among (see `quotient`).

    Args:
        tower: The tower; see `in_float64`.
        trace: Its pass over some images.
        classes: Unit text embedding of each image's class.
        residual: Rule for the sums of the residual stream.
        until: Layer to stop at.
    """
    last = trace.blocks[-1].leaving
    weight = classes.to(tower.projection) @ tower.projection.T
    positive = (tower.final_norm(last[:, 0]) * weight).clamp(min=0)
    relevance = torch.zeros_like(last)
    relevance[:, 0] = quotient(positive, positive.sum(dim=-1, keepdim=True).expand_as(positive))
    found = RelevancePass({}, {})
    for layer in range(tower.layers - 1, until - 1, -1):
        block, step = tower.blocks[layer], trace.blocks[layer]
        relevance = _through_mlp(block, step, relevance, residual)
        relevance, attention = _through_attention(block, step, relevance, residual)
        found.streams[layer], found.attention[layer] = relevance, attention
    return found


def _through_mlp(
    block: ExplicitBlock, step: BlockTrace, relevance: Tensor, residual: Sharing
) -> Tensor:
    kept, written = residual(step.between, step.leaving - step.between, relevance)
    neurons = through_linear(step.activations, block.writes, written)
    return kept + through_linear(block.ln_2(step.between), block.rise, neurons)


def _through_attention(
    block: ExplicitBlock, step: BlockTrace, relevance: Tensor, residual: Sharing
) -> tuple[Tensor, Tensor]:
    kept, written = residual(step.entering, step.between - step.entering, relevance)
    attention, (query, key, value) = step.attention, step.qkv
    mixed = (attention @ value).transpose(1, 2)
    out = block.out.transpose(0, 1).flatten(1)
    heads = through_linear(mixed.flatten(2), out, written).view_as(mixed).transpose(1, 2)
    of_attention, of_value = through_product(attention, value, heads)
    of_query, of_key = through_product(query, key.mT, of_attention)
    parts = torch.stack([of_query, of_key.mT, of_value]).permute(1, 3, 0, 2, 4).flatten(2)
    weight = block.qkv.flatten(0, 2)
    return kept + through_linear(step.normed, weight, parts), of_attention
