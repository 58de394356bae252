"""Transformer attribution (Chefer et al. 2021): gradient times relevance of attention."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from advgen.evaluate.segmentation.methods.attribution import (
    Attribution,
    attention_gradients,
    class_rollout,
)
from advgen.evaluate.segmentation.methods.relevance import (
    in_float64,
    propagate,
    through_sum_normalized,
)
from advgen.evaluate.segmentation.protocol import SegmenterInputs


class Chefer(Attribution):
    """Class row of ``F_L ... F_s``, ``F_l = 1 + mean_h (dA^l_h * R(A^l_h))^+``.

    Chefer, Gur and Wolf 2021 (arXiv 2012.09838, Sec. 3.3): d is the gradient of the score, R
    relevance by the rules of `relevance` with normalised shares of the residual sums. Unlike
    rollout's, rows are not divided by their sums. As the one is added, the size of the score
    matters, and with relevance starting from one it enters by the gradient alone: it is the
    logit's by default, the nearest to the classifier's logit of the source.

    Args:
        inputs: The model.
        start_layer: First layer s of the product, from 0; one as in the public code's
            segmentation (see `Rollout`).
        scale: Factor on the cosine whose gradient is taken; the model's logit scale by default.

    Raises:
        ModelError: If the image embedding is not the class token's.
        ConfigError: If there is no such layer.
    """

    def __init__(
        self, inputs: SegmenterInputs, *, start_layer: int = 1, scale: float | None = None
    ) -> None:
        super().__init__(inputs)
        self.start_layer = self.start(start_layer)
        self.scale = self.logit_scale if scale is None else scale

    def patches(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image patch"]:
        """See `Attribution.patches`."""
        tower = in_float64(self.tower)
        trace = tower.trace(pixels, differentiable=True)
        gradients = attention_gradients(trace, classes, self.scale)
        first = self.start_layer
        found = propagate(tower, trace, classes, residual=through_sum_normalized, until=first)
        flows = [
            (gradients[layer] * found.attention[layer]).clamp(min=0).mean(dim=1)
            for layer in range(first, tower.layers)
        ]
        return class_rollout(flows, normalize=False)
