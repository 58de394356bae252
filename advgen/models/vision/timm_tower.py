"""timm's vision transformer behind open_clip's `TimmModel`: SigLIP, SigLIP 2 and plain ViTs."""

from typing import Any

from open_clip.timm_model import TimmModel
from timm.layers.attention import Attention
from timm.layers.attention_pool import AttentionPoolLatent
from timm.layers.layer_scale import LayerScale
from timm.layers.mlp import Mlp
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from advgen.models.vision.pooling import LatentPooling, MeanPooling, Pooling, TokenPooling
from advgen.models.vision.tower import VisionTower
from advgen.models.vision.weights import HeadWeights

_POOLS = ("map", "token", "avg")


def fault(visual: TimmModel) -> str | None:
    """What about a timm tower the lens does not read, or None."""
    trunk: Any = visual.trunk
    if type(trunk) is not VisionTransformer:
        return f"timm's {type(trunk).__name__}"
    if trunk.global_pool not in _POOLS:
        return f"timm's VisionTransformer with '{trunk.global_pool}' pooling"
    for block in trunk.blocks:
        if type(block) is not Block:
            return f"timm's VisionTransformer of {type(block).__name__} blocks"
        reason = _block_fault(block)
        if reason is not None:
            return f"timm's VisionTransformer with {reason}"
    reason = _head_fault(visual)
    return None if reason is None else f"timm's VisionTransformer with {reason}"


def _block_fault(block: Any) -> str | None:
    attn, mlp = block.attn, block.mlp
    if type(attn) is not Attention or attn.gate is not None:
        return f"{type(attn).__name__} attention"
    if not all(isinstance(norm, nn.Identity) for norm in (attn.q_norm, attn.k_norm, attn.norm)):
        return "norms inside its attention"
    if type(mlp) is not Mlp or not isinstance(mlp.norm, nn.Identity):
        return f"a {type(mlp).__name__} with inner norms or gates"
    if not all(isinstance(scale, LayerScale | nn.Identity) for scale in (block.ls1, block.ls2)):
        return "an unknown layer scale"
    return None


def _head_fault(visual: TimmModel) -> str | None:
    trunk: Any = visual.trunk
    names = [name for name, _ in visual.head.named_children() if name != "drop"]
    if names not in ([], ["proj"]) or (names and not isinstance(trunk.head, nn.Identity)):
        return "a head of several layers"
    if not names and not isinstance(trunk.head, nn.Identity | nn.Linear):
        return f"a {type(trunk.head).__name__} head"
    norms = [isinstance(norm, nn.LayerNorm) for norm in (trunk.norm, trunk.fc_norm)]
    if trunk.global_pool == "map":
        pool = trunk.attn_pool
        plain = (
            isinstance(pool, AttentionPoolLatent)
            and pool.pos_embed is None
            and pool.latent_len == 1
            and isinstance(pool.q, nn.Linear)
            and isinstance(pool.q_norm, nn.Identity)
        )
        return None if plain and norms == [True, False] else "an unknown attention pool"
    return None if sum(norms) == 1 else "two final norms or none"


class TimmTower(VisionTower):
    """View of a `TimmModel` around `timm.models.vision_transformer.VisionTransformer`."""

    def __init__(self, visual: TimmModel) -> None:
        trunk: Any = visual.trunk
        super().__init__(visual, trunk.blocks)
        self._trunk = trunk

    @property
    def tokens(self) -> int:
        """See `VisionTower.tokens`."""
        return self._trunk.patch_embed.num_patches + self._trunk.num_prefix_tokens

    @property
    def prefix_tokens(self) -> int:
        """See `VisionTower.prefix_tokens`."""
        return self._trunk.num_prefix_tokens

    @property
    def embed_dim(self) -> int:
        """See `VisionTower.embed_dim`."""
        head = self._head()
        return self.width if head is None else head.out_features

    def _pooling(self) -> Pooling:
        trunk, head = self._trunk, self._head()
        projection = None if head is None else self._wide(head.weight).T
        if trunk.global_pool == "map":
            return self._latent_pooling(trunk.attn_pool, projection)
        if projection is None:
            projection = (self._zeros(self.width) + 1).diag()
        norm_first = isinstance(trunk.norm, nn.LayerNorm)
        norm = self.norm_weights(trunk.norm if norm_first else trunk.fc_norm)
        if trunk.global_pool == "token":
            return TokenPooling(norm, projection)
        first = 0 if trunk.pool_include_prefix else trunk.num_prefix_tokens
        return MeanPooling(norm, projection, tokens=slice(first, None), norm_first=norm_first)

    def _latent_pooling(self, pool: Any, projection: Tensor | None) -> Pooling:
        heads = pool.num_heads
        key, value = self._wide(pool.kv.weight).view(2, heads, -1, self.width)
        value_bias = (
            self._zeros(self.width)
            if pool.kv.bias is None
            else self._wide(pool.kv.bias)[-self.width :]
        )
        query = self._wide(pool.q(pool.latent[0, 0])).view(heads, -1)
        out, out_bias = self._out(pool.proj, heads)
        weights = HeadWeights(
            query=self._wide(pool.q.weight).unflatten(0, (heads, -1)),
            query_bias=query * 0,
            key=key,
            value=value,
            value_bias=value_bias.view(heads, -1),
            out=out,
            out_bias=out_bias,
        )
        first = 0 if self._trunk.pool_include_prefix else self._trunk.num_prefix_tokens
        norm = self.norm_weights(self._trunk.norm)
        tokens = slice(first, None)
        return LatentPooling(norm, query, weights, None, projection, tokens=tokens)

    def _pool(self, stream: Tensor) -> Any:
        return self._visual.head(self._trunk.forward_head(self._trunk.norm(stream)))

    def _head(self) -> nn.Linear | None:
        for head in (dict(self._visual.head.named_children()).get("proj"), self._trunk.head):
            if isinstance(head, nn.Linear):
                return head
        return None

    def _norm_1(self, block: Any) -> nn.LayerNorm:
        return block.norm1

    def _scale_1(self, block: Any) -> nn.Module:
        return block.ls1

    def _scale_2(self, block: Any) -> nn.Module:
        return block.ls2

    def _activation(self, layer: int) -> nn.Module:
        return self._blocks[layer].mlp.act

    def _write_map(self, layer: int) -> nn.Linear:
        return self._blocks[layer].mlp.fc2

    def _heads(self, block: Any) -> HeadWeights:
        attn = block.attn
        return self._split(attn.qkv.weight, attn.qkv.bias, attn.proj, attn.num_heads, block.ls1)
