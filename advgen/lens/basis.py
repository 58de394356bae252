"""The fixed vectors U that the second-order effects of a neuron are made of."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.models.vision import VisionTower

Treatment = Literal["paper", "centered"]
"""What becomes of a layer norm's mean, see `EffectBasis`."""


class EffectBasis:
    """Rows U[n,(l',h,j)] = R_j W_OV^{l',h} (g_{l'} w_n) of Eq. 5 / Eq. 11: input independent.

    R_j is `Pooling.readout`; for a class token there is one pool head j, and R = P g_post.

    Every second-order effect phi_n(I) is ``alpha_n(I) @ U_n``; rows are formed for a slice of
    neurons at a time, through the heads' inner width.

    Args:
        tower: The vision tower.
        treatment: ``"paper"`` drops the layer norms' means (they are spread over all neurons);
            ``"centered"`` gives each neuron its own: the mean of w_n is taken off before g_{l'},
            the mean of a head's output before g_post. The sum over neurons is then exact.

    Raises:
        ValueError: If the treatment is neither.
    """

    def __init__(self, tower: VisionTower, treatment: Treatment) -> None:
        if treatment not in get_args(Treatment):
            raise ValueError(f"treatment must be 'paper' or 'centered'; got {treatment!r}")
        self._tower = tower
        self._centered = treatment == "centered"
        self._readers: dict[int, tuple[Tensor, Tensor]] = {}
        self._readout = tower.pooling.readout(centered=self._centered)

    def size(self, layer: int) -> int:
        """Rows per neuron of a layer: (later layers) x heads x pool heads."""
        later = self._tower.layers - 1 - layer
        return later * self._tower.heads * self._tower.pooling.heads

    def rows(self, layer: int, neurons: slice) -> Float[Tensor, "neuron later embed"]:
        """U of some neurons of a layer; the middle axis runs over (later layer, head, pool)."""
        writes = self._tower.block(layer).writes[:, neurons]
        if self._centered:
            writes = writes - writes.mean(dim=0)
        parts = []
        for later in range(layer + 1, self._tower.layers):
            read, write = self._reader(later)
            inner = torch.einsum("hvw,wn->hnv", read, writes)[:, None]
            parts.append((inner @ write).flatten(0, 1))
        return torch.cat(parts).transpose(0, 1)

    def _reader(self, later: int) -> tuple[Tensor, Tensor]:
        """W_V g_{l'} as ``[head, head_width, width]``; R W_O as ``[head, pool, ., embed]``."""
        if later not in self._readers:
            block = self._tower.block(later)
            write = torch.einsum("hwv,jwe->hjve", block.heads.out, self._readout)
            self._readers[later] = (block.heads.value * block.ln_1.weight, write)
        return self._readers[later]
