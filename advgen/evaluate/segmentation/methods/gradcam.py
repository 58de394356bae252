"""GradCAM on attention: the last layer's heads, weighted by their gradient."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from advgen.evaluate.segmentation.methods.attribution import Attribution, attention_gradients


class GradCam(Attribution):
    """``(mean_h g_h A^L_h[class, patch])^+``, ``g_h`` the mean of head h's gradient.

    Selvaraju et al. 2017 (arXiv 1610.02391), carried over to the class token's row of the last
    attention by Chefer et al. 2021 (arXiv 2012.09838, Sec. 4). Their text leaves open over what
    the gradient is averaged; in their public code it is the patches of the class row, without
    the class token itself, and heads are averaged before the positive part is taken. Where no
    weighted head points to the class the map is zero everywhere.

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
        trace = self.tower.trace(pixels, differentiable=True)
        gradient = attention_gradients(trace, classes)[-1][:, :, 0, 1:]
        attention = trace.blocks[-1].attention[:, :, 0, 1:].detach()
        weights = gradient.mean(dim=-1, keepdim=True)
        return (weights * attention).mean(dim=1).clamp(min=0)
