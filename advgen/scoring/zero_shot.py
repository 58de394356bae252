"""Binary zero-shot scores of images against the two classes of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.models import ClipModel, encode_classes


@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores of one image.

    `margin = cos_target - cos_true`; `prob_target` is the softmax over the two cosines times the
    model's logit scale.
    """

    cos_true: float
    cos_target: float
    margin: float
    prob_target: float

    @property
    def fooled(self) -> bool:
        """True when the model prefers the target class."""
        return self.margin > 0


def class_embeddings(
    clip: ClipModel, classes: Sequence[str], templates: Sequence[str]
) -> Float[Tensor, "class embed"]:
    """Unit class embeddings in float32 on the CPU, averaged over the templates."""
    return encode_classes(clip, classes, templates=templates).float().cpu()


def score_pair(
    images: Float[Tensor, "image embed"],
    classes: Float[Tensor, "2 embed"],
    logit_scale: float,
) -> list[PairScores]:
    """Score unit image embeddings against `(true, target)` class embeddings."""
    cosines = images.float().cpu() @ classes.T
    margins = cosines[:, 1] - cosines[:, 0]
    probabilities = torch.sigmoid(logit_scale * margins)
    return [
        PairScores(
            cosines[i, 0].item(), cosines[i, 1].item(), margins[i].item(), probabilities[i].item()
        )
        for i in range(len(cosines))
    ]
