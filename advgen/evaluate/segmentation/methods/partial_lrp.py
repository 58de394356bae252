"""Partial LRP: the relevance of the last layer's attention."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from advgen.evaluate.segmentation.methods.attribution import Attribution
from advgen.evaluate.segmentation.methods.relevance import in_float64, propagate


class PartialLrp(Attribution):
    """``mean_h (R(A^L_h)[class, patch])^+``: LRP stopped at the last attention.

    Voita et al. 2019 (arXiv 1905.09418) take the relevance of heads; Chefer et al. 2021 (arXiv
    2012.09838, Sec. 4) that of the last layer's attention weights. The rules are those of `Lrp`.
    Their public code takes the positive part before averaging over heads; so is it here.

    Args:
        inputs: The model.

    Raises:
        ModelError: If the image embedding is not the class token's.
    """

    def patches(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image patch"]:
        """See `Attribution.patches`."""
        tower = in_float64(self.tower)
        last = tower.layers - 1
        found = propagate(tower, tower.trace(pixels), classes, until=last)
        return found.attention[last][:, :, 0, 1:].clamp(min=0).mean(dim=1)
