"""What the attribution methods share: the score that they explain, gradients, rollout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.protocol import SegmenterInputs
from advgen.models.vision.explicit import ExplicitTower, Trace


class Attribution(ABC):
    """A segmenter that explains a score of the image with a value per patch.

    The score is the class's logit ``tau <M_image(I), c> / ||M_image(I)||`` with the norm taken
    as a constant of the image. So it is linear in M_image(I), as a classifier's logit is linear
    in the last features and as the sums of Eq. 1 are; what lengthens the embedding without
    turning it is not subtracted. The source methods explain a classifier's logit and do not say
    what takes its place in CLIP.

    Args:
        inputs: The model; its image embedding must be its class token's.

    Raises:
        ModelError: If it is not.
    """

    def __init__(self, inputs: SegmenterInputs) -> None:
        self.tower = ExplicitTower(inputs.clip.vision)
        self.logit_scale = float(inputs.clip.logit_scale)

    @abstractmethod
    def patches(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image patch"]:
        """The values of `heatmaps` in order of the tokens, as wide as they were computed."""

    def heatmaps(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image row column"]:
        """See `advgen.evaluate.segmentation.protocol.Segmenter.heatmaps`."""
        with torch.inference_mode(False):  # a caller's would leave no graph to differentiate
            values = self.patches(pixels, classes.clone()).detach()
        return values.unflatten(1, self.tower.grid).to("cpu", torch.float32)

    def start(self, layer: int) -> int:
        """A first layer as given, if the tower has it.

        Raises:
            ConfigError: If it has not.
        """
        if 0 <= layer < self.tower.layers:
            return layer
        raise ConfigError(
            f"start_layer must be in 0..{self.tower.layers - 1} for this model; got {layer}"
        )


def class_score(
    representation: Float[Tensor, "image embed"],
    classes: Float[Tensor, "image embed"],
    scale: float = 1.0,
) -> Float[Tensor, " image"]:
    """Scaled cosine of image and class, its norm a constant to autograd (see `Attribution`).

    Args:
        representation: M_image(I), not normalised.
        classes: Unit text embedding of each image's class.
        scale: Factor; the model's logit scale makes it the logit.
    """
    norm = representation.detach().norm(dim=-1)
    return scale * (representation * classes.to(representation)).sum(dim=-1) / norm


def attention_gradients(
    trace: Trace, classes: Float[Tensor, "image embed"], scale: float = 1.0
) -> tuple[Float[Tensor, "image head token token"], ...]:
    """Gradient of every image's score with respect to the attention of every layer.

    Args:
        trace: A differentiable trace.
        classes: Unit text embedding of each image's class.
        scale: See `class_score`.
    """
    with torch.enable_grad():
        total = class_score(trace.representation, classes, scale).sum()
    return torch.autograd.grad(total, [block.attention for block in trace.blocks])


def class_rollout(
    flows: Sequence[Float[Tensor, "image token token"]], *, normalize: bool
) -> Float[Tensor, "image patch"]:
    """How much of every patch reaches the class token through layers that mix tokens.

    Row of the class token of ``F_L ... F_1`` with ``F = A + 1``, the one for the residual stream
    (Abnar and Zuidema 2020, arXiv 2005.00928, Sec. 3).

    Args:
        flows: Each layer's A, first layer first; row t says what token t takes from whom.
        normalize: Divide the rows of F by their sums.
    """
    identity = torch.eye(flows[0].shape[-1], dtype=flows[0].dtype, device=flows[0].device)
    row = identity[:1].expand(len(flows[0]), 1, -1)
    for flow in reversed(flows):
        mixing = flow + identity
        row = row @ (mixing / mixing.sum(dim=-1, keepdim=True) if normalize else mixing)
    return row[:, 0, 1:]
