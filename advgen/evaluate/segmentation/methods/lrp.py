"""LRP: the relevance of the input patches."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.evaluate.segmentation.methods.attribution import Attribution
from advgen.evaluate.segmentation.methods.relevance import (
    in_float64,
    propagate,
    through_sum,
)


class Lrp(Attribution):
    """Relevance of the score, shared out all the way down to the patches of the image.

    Binder et al. 2016 (arXiv 1604.00825), with the rules of `relevance` and plain shares of the
    residual sums, as the row "LRP" of Chefer et al. 2021 (arXiv 2012.09838) and their public
    code's "full". CLIP's norm before block 0 is passed like any other layer norm. What goes to the
    position embeddings and to the class token at the input is left there: the map sums to one
    minus that. Relevance is signed; where residual sums cancel it is large (`through_sum`).

    The source shares a patch's relevance out among its pixels (z^B rule) and scores maps of
    pixels. That rule keeps the sum of every patch, so a map of patches needs no such step.

    Args:
        inputs: The model.

    Raises:
        ModelError: If the image embedding is not the class token's.
    """

    @torch.no_grad()
    def patches(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image patch"]:
        """See `Attribution.patches`."""
        tower = in_float64(self.tower)
        relevance = propagate(tower, tower.trace(pixels), classes).streams[0]
        embedded, positions = (part.to(relevance) for part in self._embedded(pixels))
        of_patches, _ = through_sum(embedded, positions, relevance[:, 1:])
        return of_patches.sum(dim=-1)

    def _embedded(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        view = self.tower.tower
        visual: Any = view.visual
        maps = visual.conv1(pixels.to(view.device, view.dtype)).flatten(2).mT
        positions = visual.positional_embedding[1:]
        return maps, positions.expand_as(maps)
