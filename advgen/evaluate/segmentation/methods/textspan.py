"""TextSpan: the share of every patch in the image embedding through the attention heads.

Source: Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
Decomposition", arXiv 2310.05916, Secs. 3.2 and 5.2; the row "TextSpan" of Table 4 of arXiv
2406.04341. The direct effect of a patch, ``sum over layers l and heads h of
c a_i^{l,h} R W_O (W_V LN(x_i) + b_V)``, is dotted with the class embedding. As in the released
segmentation code, all layers and heads take part and nothing is mean-ablated. That code also takes
the mean map of all classes off (`contrast`) and clips at zero (`rectify`); the paper's text does
neither, nor do the defaults here. Terms that are the same for all patches (biases of the out
projection and of the final norm) are left out: the scaling of heat maps takes them away.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.methods.dense import ClassDirection, PatchMethod
from advgen.evaluate.segmentation.protocol import SegmenterInputs
from advgen.lens.attention import pooled_attention
from advgen.models.vision.attention import project

_STATE_BYTES = 256 << 20


class TextSpan(PatchMethod):
    """First-order effects of patches on the class, see the module; any pooling.

    Args:
        inputs: See `SegmenterInputs`.
        layers: Attention layers whose heads take part; all by default.
        contrast: Names of other classes whose mean map is taken off.
        rectify: Clip the map at zero.

    Raises:
        ConfigError: If a layer does not exist.
        ModelError: If the model's vision tower cannot be read.
    """

    def __init__(
        self,
        inputs: SegmenterInputs,
        *,
        layers: Sequence[int] | None = None,
        contrast: Sequence[str] = (),
        rectify: bool = False,
    ) -> None:
        self.vision = inputs.clip.vision
        count = self.vision.layers
        self.layers = tuple(range(count)) if layers is None else tuple(sorted(set(layers)))
        if not self.layers or not 0 <= self.layers[0] <= self.layers[-1] < count:
            raise ConfigError(f"textspan: layers must be from 0 to {count - 1}; got {layers}")
        self._rectify = rectify
        self._direction = ClassDirection(inputs, contrast)
        self._readout = self.vision.pooling.readout(centered=False)

    @torch.no_grad()
    def patches(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """See `PatchMethod.patches`; shares of the unnormalised similarity <M_image(I), c>."""
        readout = torch.einsum("jwe,ie->ijw", self._readout, self._direction(classes))
        per_image = 8 * self.vision.tokens * self.vision.width * len(self.layers)
        step = max(1, _STATE_BYTES // per_image)
        parts = [
            self._shares(pixels[start : start + step], readout[start : start + step])
            for start in range(0, len(pixels), step)
        ]
        values = torch.cat(parts)[:, self.vision.prefix_tokens :]
        return values.clamp(min=0) if self._rectify else values

    def _shares(
        self, pixels: Tensor, readout: Float[Tensor, "image pool width"]
    ) -> Float[Tensor, "image token"]:
        capture = self.vision.capture(pixels, norms=self.layers)
        pooling = self.vision.pooling
        weights = pooling.weights(capture.final)
        total = readout.new_zeros(capture.final.shape[:2])
        for layer in self.layers:
            block = self.vision.block(layer)
            normed = capture.normed.pop(layer).to(readout.dtype)
            rows = pooled_attention(normed, block, weights, pooling.tokens)
            values = project(normed, block.heads.value) + block.heads.value_bias[:, None]
            read = torch.einsum("hwv,ijw->ihjv", block.heads.out, readout)
            total += ((read @ values.transpose(2, 3)) * rows).sum(dim=(1, 2))
        return total
