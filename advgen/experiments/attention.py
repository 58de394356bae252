"""Figs. 10 and 11: what the attention layers write straight into the embedding, layer by layer.

The direct effects of attention layers are replaced by their means over D, and accuracy is measured
again. Scales are frozen, so an ablated embedding is the embedding minus what an effect differs
from its mean; the tower runs once per image.

Source: arXiv 2406.04341, Figs. 10 and 11; the decomposition is that of arXiv 2310.05916.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from advgen.errors import DataError
from advgen.experiments.paired import Paired, correct, paired
from advgen.experiments.subject import Subject, plain_pixels
from advgen.imagesets.batches import Skipped
from advgen.lens import attention_effects
from advgen.models import ClipModel

Order = Literal["first", "last", "single"]
"""Which layers are ablated at step l: 0..l, l..L-1, or l alone."""

TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionAblation:
    """Zero-shot accuracy after mean-ablating direct effects of attention layers.

    Attributes:
        evaluated: Images that accuracy is measured on.
        skipped: Those of the set that could not be read.
        summarised: Images that the means are taken over.
        unablated: Accuracy of the model as it is, in [0, 1].
        first: Per layer l: accuracy with layers 0..l ablated.
        last: Per layer l: accuracy with layers l..L-1 ablated.
        single: Per layer l: accuracy with layer l ablated.
        cost: Per layer l: accuracy that its ablation alone costs, with its interval.
    """

    evaluated: int
    skipped: tuple[Skipped, ...]
    summarised: int
    unablated: float
    first: tuple[float, ...]
    last: tuple[float, ...]
    single: tuple[float, ...]
    cost: tuple[Paired, ...]

    @property
    def layers(self) -> int:
        """Number of attention layers L."""
        return len(self.single)

    @property
    def all_ablated(self) -> float:
        """Accuracy with every layer ablated: what the direct paths of the rest hold."""
        return self.first[-1]

    def needed(self, tolerance: float = TOLERANCE) -> int:
        """How many of the last layers must stay for accuracy to stay within a tolerance.

        The smallest k such that ablating layers 0..L-k-1, or any shorter run from layer 0, costs
        at most `tolerance`.

        Args:
            tolerance: Accuracy that may be lost, in [0, 1].
        """
        bar = self.unablated - tolerance
        good = 0
        while good < self.layers and self.first[good] >= bar:
            good += 1
        return self.layers - good


def ablate_attention(subject: Subject) -> AttentionAblation:
    """Accuracy of the evaluated images with attention layers' direct effects mean-ablated.

    Differs from the paper: besides the run from the first layer on, also from the last one
    backwards and each layer alone.

    Args:
        subject: Model, labelled images and D; its `layers` are not read, every attention layer is
            looked at.

    Raises:
        DataError: If no image of a set can be read.
        ModelError: If the vision tower is of another kind.
    """
    means = subject.pixels(subject.summarised, "means of attention effects")
    mean, summarised = mean_attention_effects(subject.clip, plain_pixels(means))
    plain, hits, skipped = _hits(subject, mean)
    rates = {order: tuple(found.double().mean(dim=1).tolist()) for order, found in hits.items()}
    return AttentionAblation(
        evaluated=len(plain),
        skipped=tuple(skipped),
        summarised=summarised,
        unablated=float(plain.double().mean()),
        **rates,
        cost=tuple(paired(plain, layer) for layer in hits["single"]),
    )


def ablated_embeddings(
    effects: Float[Tensor, "image layer embed"],
    mean: Float[Tensor, "layer embed"],
    representation: Float[Tensor, "image embed"],
    order: Order,
) -> Float[Tensor, "image layer embed"]:
    """``M(I) - sum_l' (effect_l'(I) - mean_l')``, one embedding per step l.

    Args:
        effects: Of `advgen.lens.attention_effects`.
        mean: Their means over D.
        representation: Embeddings, not normalised.
        order: Which layers l' are summed at step l: ``"first"`` 0..l, ``"last"`` l..L-1,
            ``"single"`` l.

    Raises:
        ValueError: If the order is unknown.
    """
    change = effects - mean.to(effects)
    if order == "first":
        change = change.cumsum(dim=1)
    elif order == "last":
        change = change.flip(1).cumsum(dim=1).flip(1)
    elif order != "single":
        raise ValueError(f"expected an order of {get_args(Order)}; got {order!r}")
    return representation[:, None] - change


def mean_attention_effects(
    clip: ClipModel, batches: Iterable[Float[Tensor, "_ 3 height width"]]
) -> tuple[Float[Tensor, "layer embed"], int]:
    """Mean direct effect of every attention layer over an image set, and the number of images.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        batches: Preprocessed images.

    Returns:
        The means in the tower's working dtype, and the count.

    Raises:
        DataError: If there is no image.
    """
    total = torch.zeros((), dtype=torch.float64)
    count = 0
    for pixels in batches:
        effects, _ = attention_effects(clip, pixels)
        summed = effects.sum(dim=0, dtype=torch.float64)
        total = total.to(summed.device) + summed
        count += len(pixels)
    if not count:
        raise DataError("the means need at least one image; choose another image set")
    return (total / count).to(clip.vision.working_dtype), count


def _hits(
    subject: Subject, mean: Float[Tensor, "layer embed"]
) -> tuple[Bool[Tensor, " image"], dict[str, Bool[Tensor, "layer image"]], list[Skipped]]:
    """Rightly classified images unablated, and per order and step; the unreadable images."""
    images, classifier = subject.evaluated.images, subject.classifier
    subject.progress.stage(f"attention effects over {images.name}", len(images))
    plain, skipped, hits = [], [], {order: [] for order in get_args(Order)}
    for batch in subject.evaluated:
        skipped += batch.skipped
        if batch.indices:
            labels = subject.all_labels[batch.indices]
            effects, representation = attention_effects(subject.clip, batch.pixels)
            plain.append(correct(representation, classifier, labels))
            for order, found in hits.items():
                ablated = ablated_embeddings(effects, mean, representation, order)
                rows = [correct(layer, classifier, labels) for layer in ablated.unbind(1)]
                found.append(torch.stack(rows))
        subject.progress.advance(len(batch.indices) + len(batch.skipped))
    joined = {order: torch.cat(found, dim=1) for order, found in hits.items()}
    return torch.cat(plain), joined, skipped
