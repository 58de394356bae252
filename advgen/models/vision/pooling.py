"""How the last residual stream becomes the image embedding.

With its attention and scales frozen, every pooling is linear in the stream x:

    M_image = sum over pool heads j and tokens t of  c[j,t] * R[j]^T x[t]  +  constant

`Pooling.weights` gives c of an image, `Pooling.readout` gives R. A class token or a mean has one
pool head; an attention pool has as many as it has heads. All of it stands here: the lens itself
does not know which pooling it reads.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.models.vision.attention import project, scores
from advgen.models.vision.weights import HeadWeights, NormWeights

ALL_TOKENS = slice(None)


class Pooling(ABC):
    """A frozen pooling; `tokens` are those that can have a weight other than zero."""

    tokens: slice

    @property
    @abstractmethod
    def heads(self) -> int:
        """Pool heads j."""

    @abstractmethod
    def weights(
        self, final: Float[Tensor, "image token width"]
    ) -> Float[Tensor, "image pool query"]:
        """c[j,t] over `tokens`: what the embedding takes of each token, layer-norm scales included.

        Args:
            final: Residual stream leaving the last block.
        """

    @abstractmethod
    def readout(self, *, centered: bool) -> Float[Tensor, "pool width embed"]:
        """R[j], the map from the residual stream to the joint space.

        Args:
            centered: Take each layer norm's mean off what passes through it (`EffectBasis`).
        """


class TokenPooling(Pooling):
    """The class token through the final norm: CLIP's own pooling.

    Args:
        norm: Final norm.
        projection: P transposed.
    """

    tokens = slice(0, 1)

    def __init__(self, norm: NormWeights, projection: Float[Tensor, "width embed"]) -> None:
        self._norm, self._projection = norm, projection

    @property
    def heads(self) -> int:
        """See `Pooling.heads`."""
        return 1

    def weights(self, final: Tensor) -> Tensor:
        """See `Pooling.weights`."""
        return 1.0 / self._norm.scale(final[:, self.tokens])[:, None]

    def readout(self, *, centered: bool) -> Tensor:
        """See `Pooling.readout`."""
        return off_mean(self._norm.weight[:, None] * self._projection, centered)[None]


class MeanPooling(TokenPooling):
    """The mean over tokens, with the final norm before it or after it (CLIPA, 02-lens section 5).

    Args:
        norm: Final norm.
        projection: P transposed.
        tokens: Tokens that are averaged.
        norm_first: Whether every token is normed before the mean.
    """

    def __init__(
        self,
        norm: NormWeights,
        projection: Float[Tensor, "width embed"],
        *,
        tokens: slice,
        norm_first: bool,
    ) -> None:
        super().__init__(norm, projection)
        self.tokens, self._norm_first = tokens, norm_first

    def weights(self, final: Tensor) -> Tensor:
        """See `Pooling.weights`."""
        chosen = final[:, self.tokens]
        if self._norm_first:
            inverse = 1.0 / self._norm.scale(chosen)
        else:
            pooled = chosen.to(self._norm.weight.dtype).mean(dim=1)
            inverse = (1.0 / self._norm.scale(pooled))[:, None].expand(chosen.shape[:2])
        return inverse[:, None] / chosen.shape[1]


class LatentPooling(Pooling):
    """Attention of one learned query over the normed tokens (CoCa, SigLIP's MAP head).

    Two maps in a row: a head of the last blocks writes into tokens, a pool head reads them. An MLP
    on the pooled vector (MAP head) is no part of this linear path.

    Args:
        norm: Norm of the tokens before the pool.
        query: The learned query, projected, ``[head, head_width]``.
        heads: The pool's projections; those of the query are not used.
        after: Norm of the pooled vector (CoCa), or None (MAP head).
        projection: Map into the joint space, or None where the pooled vector is the embedding.
        tokens: Tokens that the pool reads.
    """

    def __init__(
        self,
        norm: NormWeights,
        query: Float[Tensor, "head head_width"],
        heads: HeadWeights,
        after: NormWeights | None,
        projection: Float[Tensor, "width embed"] | None,
        *,
        tokens: slice = ALL_TOKENS,
    ) -> None:
        self.tokens = tokens
        self._norm, self._query, self._heads = norm, query, heads
        self._after, self._projection = after, projection

    @property
    def heads(self) -> int:
        """See `Pooling.heads`."""
        return self._query.shape[0]

    def weights(self, final: Tensor) -> Tensor:
        """See `Pooling.weights`."""
        final = final[:, self.tokens]
        normed = self._norm(final)
        rows = self._rows(normed)
        scaled = rows / self._norm.scale(final)[:, None]
        if self._after is None:
            return scaled
        return scaled / self._after.scale(self._pooled(rows, normed))[:, None, None]

    def readout(self, *, centered: bool) -> Tensor:
        """See `Pooling.readout`."""
        inner = torch.einsum("hvw,hov->hwo", self._heads.value, self._heads.out)
        inner = off_mean(self._norm.weight[:, None] * inner, centered)
        if self._after is not None:
            inner = off_mean(inner.transpose(1, 2), centered).transpose(1, 2) * self._after.weight
        return inner if self._projection is None else inner @ self._projection

    def _rows(self, normed: Tensor) -> Tensor:
        query = self._query[None, :, None].expand(len(normed), -1, -1, -1)
        return scores(query, normed, self._heads).softmax(dim=-1)[:, :, 0]

    def _pooled(self, rows: Tensor, normed: Tensor) -> Tensor:
        mixed = (rows[:, :, None] @ project(normed, self._heads.value))[:, :, 0]
        mixed = mixed + self._heads.value_bias
        return torch.einsum("ihv,hov->io", mixed, self._heads.out) + self._heads.out_bias


def off_mean(matrix: Tensor, centered: bool) -> Tensor:
    """The map ``x -> (x - mean(x)) @ matrix`` as a matrix, or the matrix itself."""
    return matrix - matrix.mean(dim=-2, keepdim=True) if centered else matrix
