"""open_clip's own vision transformer."""

from typing import Any

from open_clip.transformer import (
    AttentionalPooler,
    LayerScale,
    ResidualAttentionBlock,
    VisionTransformer,
)
from torch import Tensor, nn

from advgen.models.vision.pooling import LatentPooling, MeanPooling, Pooling, TokenPooling
from advgen.models.vision.tower import VisionTower
from advgen.models.vision.weights import HeadWeights


def fault(visual: VisionTransformer) -> str | None:
    """What about a native tower the lens does not read, or None."""
    if visual.attn_pool is not None and visual.pool_type != "tok":
        return "a transformer with two attention pools, or with a mean over pooled queries"
    if visual.pool_type not in ("tok", "avg"):
        return f"a transformer with '{visual.pool_type}' pooling"
    for block in visual.transformer.resblocks:
        if not isinstance(block, ResidualAttentionBlock):
            return f"a transformer of {type(block).__name__} blocks"
        for scale in (block.ls_1, block.ls_2):
            if not isinstance(scale, LayerScale | nn.Identity):
                return f"a transformer with {type(scale).__name__} after its attention"
    return None


class NativeTower(VisionTower):
    """View of `open_clip.transformer.VisionTransformer`."""

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__(visual, visual.transformer.resblocks)

    @property
    def tokens(self) -> int:
        """See `VisionTower.tokens`."""
        return self._visual.positional_embedding.shape[0]

    @property
    def prefix_tokens(self) -> int:
        """See `VisionTower.prefix_tokens`."""
        return 1

    @property
    def embed_dim(self) -> int:
        """See `VisionTower.embed_dim`."""
        return self._visual.output_dim

    def _pooling(self) -> Pooling:
        visual = self._visual
        norm = self.norm_weights(visual.ln_post)
        projection = self._wide(visual.proj)
        if visual.attn_pool is not None:
            return self._latent_pooling(visual.attn_pool, norm, projection)
        if visual.pool_type == "avg":
            first = not visual.final_ln_after_pool
            return MeanPooling(norm, projection, tokens=slice(1, None), norm_first=first)
        return TokenPooling(norm, projection)

    def _latent_pooling(self, pool: AttentionalPooler, after: Any, projection: Tensor) -> Pooling:
        attn: Any = pool.attn
        heads, size = attn.num_heads, attn.embed_dim
        if attn.in_proj_weight is None:
            query, key, value = attn.q_proj_weight, attn.k_proj_weight, attn.v_proj_weight
        else:
            query, key, value = attn.in_proj_weight.view(3, size, -1)
        query_bias, _, value_bias = self._wide(attn.in_proj_bias).view(3, heads, -1)
        out, out_bias = self._out(attn.out_proj, heads)
        weights = HeadWeights(
            query=self._wide(query).view(heads, -1, size),
            query_bias=query_bias,
            key=self._wide(key).unflatten(0, (heads, -1)),
            value=self._wide(value).unflatten(0, (heads, -1)),
            value_bias=value_bias,
            out=out,
            out_bias=out_bias,
        )
        first = self.norm_weights(pool.ln_q)(self._wide(pool.query[0]))
        query = (weights.query @ first) + weights.query_bias
        return LatentPooling(self.norm_weights(pool.ln_k), query, weights, after, projection)

    def _pool(self, stream: Tensor) -> Any:
        pooled, _ = self._visual._pool(stream)
        return pooled @ self._visual.proj

    def _norm_1(self, block: Any) -> nn.LayerNorm:
        return block.ln_1

    def _scale_1(self, block: Any) -> nn.Module:
        return block.ls_1

    def _scale_2(self, block: Any) -> nn.Module:
        return block.ls_2

    def _activation(self, layer: int) -> nn.Module:
        return self._blocks[layer].mlp.gelu

    def _write_map(self, layer: int) -> nn.Linear:
        return self._blocks[layer].mlp.c_proj

    def _heads(self, block: Any) -> HeadWeights:
        attn = block.attn
        return self._split(
            attn.in_proj_weight, attn.in_proj_bias, attn.out_proj, attn.num_heads, block.ls_1
        )
