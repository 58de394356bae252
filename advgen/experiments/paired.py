"""Which images are classified rightly, and how sure a difference between two ablations is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_NORMAL_95 = 1.959964

Verdict = Literal["yes", "no", "unclear"]
"""Whether a difference is above zero: `unclear` where its interval holds zero."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean of the differences between two measurements of the same things.

    Attributes:
        difference: First minus second.
        half_width: Of its 95 % normal interval; 0 for a single thing.
    """

    difference: float
    half_width: float

    @property
    def verdict(self) -> Verdict:
        """Whether the first is larger than the second."""
        if self.difference - self.half_width > 0:
            return "yes"
        return "no" if self.difference + self.half_width < 0 else "unclear"


def correct(
    representation: Float[Tensor, "image embed"],
    classifier: Float[Tensor, "class embed"],
    labels: Int[Tensor, " image"],
) -> Bool[Tensor, " image"]:
    """The images whose most similar class is their label.

    Args:
        representation: Image embeddings of any positive scale.
        classifier: Unit rows.
        labels: Row of the right class per image.

    Returns:
        On the CPU; its mean is `advgen.lens.classification_accuracy`.
    """
    predicted = (representation @ classifier.to(representation).T).argmax(dim=1)
    return predicted.cpu() == labels.cpu()


def paired(first: Tensor, second: Tensor) -> Paired:
    """Mean difference of paired measurements with its 95 % interval.

    Args:
        first: One value (or hit) per thing.
        second: The same things, in the same order.

    Raises:
        ValueError: If the lengths differ or there is nothing.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(
            f"expected two equally long lists of values; got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    change = first.to(torch.float64) - second.to(torch.float64)
    count = len(change)
    error = float(change.std()) / count**0.5 if count > 1 else 0.0
    return Paired(float(change.mean()), _NORMAL_95 * error)
