"""Raw attention: where the class token looks in the last layer."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from advgen.evaluate.segmentation.methods.attribution import Attribution


class RawAttention(Attribution):
    """``mean_h A^L_h[class, patch]``; the class of the image is left unread.

    The row "raw attention" of Table 4, as in Chefer et al. 2021 (arXiv 2012.09838, Sec. 4).

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
        return self.tower.trace(pixels).blocks[-1].attention[:, :, 0, 1:].mean(dim=1)
