"""LeGrad: how sensitive what each layer says of the class is to its attention."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.methods.attribution import Attribution
from advgen.evaluate.segmentation.protocol import SegmenterInputs


class LeGrad(Attribution):
    """``sum_l mean_{h,t} (d s_l / d A^l_h[t, patch])^+`` with each layer's own score ``s_l``.

    Bousselham et al. 2024 (arXiv 2404.03214, Sec. 3). ``s_l`` is the cosine with the class of the
    readout of the stream leaving layer l. What the texts leave open is decided as in their public
    code for CLIP: the stream is averaged over all tokens, the class token among them, before the
    final norm (``pool="mean"``); the cosine's norm is differentiated too, unlike `class_score`;
    Min and max are left to the metrics.

    Differs from the public code: the sum runs over all layers by default, as in the paper's
    formula; the code's default is the last two (``layers=2``).

    Args:
        inputs: The model.
        layers: How many last layers to sum over; all by default.
        pool: ``"mean"`` reads out the mean over tokens, ``"class"`` the class token, whose
            readout is what the model was trained on. With ``"class"`` only the class token's row
            of the attention has a gradient.

    Raises:
        ModelError: If the image embedding is not the class token's.
        ConfigError: If the model has fewer layers or the pool has another name.
    """

    def __init__(
        self,
        inputs: SegmenterInputs,
        *,
        layers: int | None = None,
        pool: Literal["mean", "class"] = "mean",
    ) -> None:
        super().__init__(inputs)
        self.layers = self.tower.layers if layers is None else layers
        self.pool = pool
        if not 1 <= self.layers <= self.tower.layers:
            raise ConfigError(
                f"layers must be in 1..{self.tower.layers} for this model; got {layers}"
            )
        if pool not in ("mean", "class"):
            raise ConfigError(f"pool must be 'mean' or 'class'; got '{pool}'")

    def patches(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image patch"]:
        """See `Attribution.patches`."""
        stream = self.tower.embed(pixels)
        total = stream.new_zeros(len(stream), stream.shape[1] - 1)
        for layer in range(self.tower.layers):
            # only this block is differentiated, so the graph before it is not kept
            used = layer >= self.tower.layers - self.layers
            with torch.set_grad_enabled(used):
                block = self.tower.run_block(layer, stream.detach().requires_grad_(used))
                if used:
                    score = self._score(block.leaving, classes).sum()
                    (gradient,) = torch.autograd.grad(score, block.attention)
                    total += gradient.clamp(min=0).mean(dim=(1, 2))[:, 1:]
            stream = block.leaving
        return total

    def _score(self, stream: Tensor, classes: Tensor) -> Tensor:
        pooled = stream[:, :1] if self.pool == "class" else stream.mean(dim=1, keepdim=True)
        readout = self.tower.readout(pooled)[:, 0]
        return torch.cosine_similarity(readout, classes.to(readout), dim=-1)
