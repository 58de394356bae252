"""Attention rollout: attention followed through the layers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from advgen.evaluate.segmentation.methods.attribution import Attribution, class_rollout
from advgen.evaluate.segmentation.protocol import SegmenterInputs


class Rollout(Attribution):
    """Class row of ``F_L ... F_s``, ``F_l = (mean_h A^l_h + 1) / 2``; the class is left unread.

    Abnar and Zuidema 2020 (arXiv 2005.00928, Sec. 3). Rows of attention sum to one, so that
    dividing by the row's sum is halving. The paper starts at the first layer; the public code
    behind the segmentation results of Chefer et al. 2021 (arXiv 2012.09838), whose rows Table 4
    repeats, leaves it out, and so does the default here.

    Args:
        inputs: The model.
        start_layer: First layer s of the product, from 0.

    Raises:
        ModelError: If the image embedding is not the class token's.
        ConfigError: If there is no such layer.
    """

    def __init__(self, inputs: SegmenterInputs, *, start_layer: int = 1) -> None:
        super().__init__(inputs)
        self.start_layer = self.start(start_layer)

    def patches(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image patch"]:
        """See `Attribution.patches`."""
        blocks = self.tower.trace(pixels).blocks[self.start_layer :]
        return class_rollout([block.attention.mean(dim=1) for block in blocks], normalize=True)
