"""How good heat maps are as masks: pixel accuracy, mIoU and mAP, as Table 4 has them.

The definitions are those of the public evaluation of Chefer et al. (arXiv 2012.09838), which
arXiv 2406.04341, Sec. 5.3 uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from advgen.evaluate.segmentation.geometry import SIDE
from advgen.experiments.paired import Paired, paired

Metric = Literal["pixel_accuracy", "mean_iou", "mean_precision"]
METRICS: tuple[Metric, ...] = ("pixel_accuracy", "mean_iou", "mean_precision")
Threshold = Literal["0.5", "mean"]
THRESHOLDS: tuple[Threshold, ...] = ("0.5", "mean")


def scaled(heat: Float[Tensor, "row column"]) -> Float[Tensor, "side side"]:
    """A heat map at the metrics' size, from 0 to 1.

    Args:
        heat: One value per patch, of any scale.

    Returns:
        Float64, bilinear to `SIDE` x `SIDE`, then min-max. A constant map says nothing: it becomes
        0.5 everywhere, which marks no pixel and has an average precision of one half.

    Raises:
        ValueError: If a value is not finite.
    """
    wide = heat.detach().double().cpu()
    if not bool(torch.isfinite(wide).all()):
        raise ValueError("expected finite heat map values; got NaN or infinity")
    if bool(wide.max() == wide.min()):
        return torch.full((SIDE, SIDE), 0.5, dtype=torch.float64)
    size = (SIDE, SIDE)
    large = F.interpolate(wide[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    return (large - large.min()) / (large.max() - large.min())


def marked(
    heat: Float[Tensor, "height width"], threshold: Threshold
) -> Bool[np.ndarray, "height width"]:
    """The pixels above the threshold: 0.5, or the map's own mean."""
    return (heat > (0.5 if threshold == "0.5" else heat.mean())).numpy()


def average_precision(
    heat: Float[Tensor, "side side"], mask: Bool[np.ndarray, "side side"]
) -> float:
    """Average precision of [1 - h, h] against [background, foreground], all pixels of both at once.

    It is defined for masks without foreground or without background, too.
    """
    from sklearn.metrics import average_precision_score

    values = heat.numpy().ravel()
    truth = mask.ravel()
    return float(
        average_precision_score(
            np.concatenate([~truth, truth]), np.concatenate([1 - values, values])
        )
    )


@dataclass(frozen=True, slots=True, eq=False)
class MaskScores:
    """What one method did on a set, image by image.

    Attributes:
        pixels: Pixels per image.
        intersection: Pixels on which map and mask agree, of background and of foreground.
        union: Pixels that either calls background, and foreground.
        precision: Average precision.
    """

    pixels: int
    intersection: Int[np.ndarray, "image 2"]
    union: Int[np.ndarray, "image 2"]
    precision: Float[np.ndarray, " image"]

    @property
    def images(self) -> int:
        """How many images."""
        return len(self.precision)

    @property
    def pixel_accuracy(self) -> float:
        """Share of all pixels that are called rightly, in [0, 1]."""
        return float(self.intersection.sum() / (self.images * self.pixels))

    @property
    def class_iou(self) -> tuple[float, float]:
        """IoU of background and foreground, counts summed over the set.

        NaN for one that is neither there nor called.
        """
        background, foreground = self._ratio()
        return float(background), float(foreground)

    @property
    def mean_iou(self) -> float:
        """Mean of the IoU of background and foreground; of one where the other is NaN."""
        return float(np.nanmean(self._ratio()))

    @property
    def mean_precision(self) -> float:
        """Mean over images of the average precision."""
        return float(self.precision.mean())

    def per_image(self, metric: Metric) -> Float[Tensor, " image"]:
        """Values per image whose mean is the metric over the set.

        For mIoU, a ratio of sums, they are its linearisation: IoU + (i - IoU u) / mean(u), with an
        image's own intersection i and union u.
        """
        if metric == "pixel_accuracy":
            return torch.from_numpy(self.intersection.sum(axis=1) / self.pixels)
        if metric == "mean_precision":
            return torch.from_numpy(self.precision.copy())
        ratio, there = self._ratio(), self.union.sum(axis=0) > 0
        moves = self.intersection[:, there] - ratio[there] * self.union[:, there]
        values = ratio[there] + moves / self.union[:, there].mean(axis=0)
        return torch.from_numpy(values.mean(axis=1))

    def _ratio(self) -> Float[np.ndarray, " two"]:
        union = self.union.sum(axis=0)
        there = union > 0
        total = self.intersection.sum(axis=0)
        return np.where(there, total / np.where(there, union, 1), np.nan)


class Tally:
    """Adds up a method's images one by one; keeps five numbers of each."""

    def __init__(self, threshold: Threshold) -> None:
        self.threshold: Threshold = threshold
        self._intersection: list[tuple[int, int]] = []
        self._union: list[tuple[int, int]] = []
        self._precision: list[float] = []

    def add(
        self,
        heat: Float[Tensor, "side side"],
        mask: Bool[np.ndarray, "side side"],
        precision: float | None = None,
    ) -> None:
        """One image.

        Args:
            heat: As `scaled` gives it.
            mask: At the same size.
            precision: `average_precision` of the two where it is known: no threshold changes it.
        """
        called = marked(heat, self.threshold)
        both, either = int((called & mask).sum()), int((called | mask).sum())
        neither = mask.size - either
        self._intersection.append((neither, both))
        self._union.append((mask.size - both, either))
        self._precision.append(average_precision(heat, mask) if precision is None else precision)

    def scores(self) -> MaskScores:
        """Everything so far.

        Raises:
            ValueError: If there is no image yet.
        """
        if not self._precision:
            raise ValueError("expected at least one image; got none")
        return MaskScores(
            SIDE * SIDE,
            np.array(self._intersection, dtype=np.int64),
            np.array(self._union, dtype=np.int64),
            np.array(self._precision, dtype=np.float64),
        )


def compare(first: MaskScores, second: MaskScores) -> Mapping[Metric, Paired]:
    """First minus second on the same images, with 95 % intervals, by metric.

    Raises:
        ValueError: If they have different numbers of images.
    """
    return {metric: paired(first.per_image(metric), second.per_image(metric)) for metric in METRICS}
