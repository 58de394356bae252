"""How well a description predicts a neuron on images that it was not made from.

A neuron's projection on an image is x_n(I), signed (paper Sec. 4.1); its description predicts
`sum_j gamma_j <t_j, M(I)> = <r_hat, M(I)>`. Scores are over all held-out images, and mean something
only beside the same scores of descriptions that ought to fail (`control_predictions`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.metrics import average_precision_score, f1_score
from torch import Tensor

from advgen.text.atoms import Atoms
from advgen.text.sparse import SparseCodes

POSITIVE_QUANTILE = 0.98
CONTROLS = ("shuffled-neurons", "random-words")


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and median of one score over the neurons that have it.

    Attributes:
        mean: NaN if no neuron has the score.
        median: Likewise; of an even number, the mean of the middle two.
        undefined: Neurons without the score.
    """

    mean: float
    median: float
    undefined: int


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Scores of every neuron's prediction; NaN where a neuron has none.

    Attributes:
        pearson: Float [neuron], correlation of projection and prediction; undefined if either is
            the same on all images.
        cosine: Float [neuron], cosine of both as vectors over images; undefined if either is zero.
        auprc: Float [neuron], average precision of the prediction for the positive images; its
            level by chance is the share of positives. Undefined without positives.
        f1: Float [neuron], F1 when as many images are predicted as there are positives, those of
            largest prediction (so precision and recall are equal). Undefined without positives.
        positives: Float [neuron], share of positive images.
    """

    pearson: Float[Tensor, " neuron"]
    cosine: Float[Tensor, " neuron"]
    auprc: Float[Tensor, " neuron"]
    f1: Float[Tensor, " neuron"]
    positives: Float[Tensor, " neuron"]

    def summary(self) -> dict[str, Summary]:
        """Mean and median over neurons, by name of the score."""
        return {field.name: _summary(getattr(self, field.name)) for field in fields(self)}


def predict(
    embeddings: Float[Tensor, "image embed"], descriptions: Float[Tensor, "neuron embed"]
) -> Float[Tensor, "image neuron"]:
    """`<r_hat, M(I)>` for every image and neuron.

    Args:
        embeddings: Image embeddings M(I), as the lens gives them (unit norm or not).
        descriptions: r_hat of every neuron (`Atoms.reconstruct`).
    """
    return embeddings @ descriptions.to(embeddings).T


def score_predictions(
    projections: Float[Tensor, "image neuron"],
    predictions: Float[Tensor, "image neuron"],
    *,
    quantile: float = POSITIVE_QUANTILE,
) -> Faithfulness:
    """Score predictions against the projections of the same held-out images.

    Args:
        projections: x_n(I), signed, any unit.
        predictions: See `predict`; any unit.
        quantile: A neuron's positive images are those whose projection exceeds this quantile of
            its own projections.

    Raises:
        ValueError: If shapes disagree, a number is not finite, there are fewer than two images, or
            the quantile does not lie between 0 and 1.

    Source: arXiv 2406.04341, Sec. 4.2 (descriptions); the choice of scores follows sanity checks
    of neuron explanations, which AUC and recall do not pass.
    """
    _check(projections, predictions, quantile)
    truth, guess = projections.double().cpu(), predictions.double().cpu()
    # torch's quantile takes no more than 2^24 numbers.
    limits = torch.from_numpy(np.quantile(truth.numpy(), quantile, axis=0))
    positive = truth > limits
    return Faithfulness(
        pearson=_cosines(_centered(truth), _centered(guess)),
        cosine=_cosines(truth, guess),
        auprc=_per_neuron(average_precision_score, positive, guess),
        f1=_per_neuron(f1_score, positive, _as_many(guess, positive)),
        positives=positive.double().mean(dim=0),
    )


def control_predictions(
    embeddings: Float[Tensor, "image embed"], codes: SparseCodes, atoms: Atoms, *, seed: int
) -> dict[str, Float[Tensor, "image neuron"]]:
    """Predictions that ought to fail, by name of the control.

    Args:
        embeddings: Image embeddings M(I).
        codes: Codes of the neurons.
        atoms: What the codes are over.
        seed: Of the shuffle and the words.

    Returns:
        `shuffled-neurons`: each neuron gets the description of another one; `random-words`: each
        keeps its coefficients, on distinct atoms drawn by chance.

    Raises:
        ValueError: If there is only one neuron, or a code has more words than there are atoms.
    """
    generator = torch.Generator().manual_seed(seed)
    order = _derangement(len(codes.indices), generator)
    shuffled = SparseCodes(codes.indices[order], codes.values[order])
    words = SparseCodes(_redrawn(codes, len(atoms.rows), generator), codes.values)
    controls = zip(CONTROLS, (shuffled, words), strict=True)
    return {name: predict(embeddings, atoms.reconstruct(control)) for name, control in controls}


def _check(projections: Tensor, predictions: Tensor, quantile: float) -> None:
    if projections.shape != predictions.shape:
        raise ValueError(
            "expected predictions of the shape of the projections "
            f"{tuple(projections.shape)}; got {tuple(predictions.shape)}"
        )
    if len(projections) < 2:
        raise ValueError(f"expected at least 2 images; got {len(projections)}")
    if not 0 < quantile < 1:
        raise ValueError(f"expected a quantile between 0 and 1; got {quantile}")
    for name, table in (("projections", projections), ("predictions", predictions)):
        if not torch.isfinite(table).all():
            raise ValueError(f"expected finite {name}; got NaN or infinity")


def _centered(table: Float[Tensor, "image neuron"]) -> Float[Tensor, "image neuron"]:
    """Columns less their mean; exact zeros where all entries of a column are equal."""
    constant = (table == table[:1]).all(dim=0)
    return (table - table.mean(dim=0)).masked_fill(constant, 0.0)


def _cosines(
    left: Float[Tensor, "image neuron"], right: Float[Tensor, "image neuron"]
) -> Float[Tensor, " neuron"]:
    """Cosine of each pair of columns; NaN where one is zero."""
    lengths = left.norm(dim=0) * right.norm(dim=0)
    return (left * right).sum(dim=0) / lengths.where(lengths > 0, math.nan)


def _as_many(
    guess: Float[Tensor, "image neuron"], positive: Bool[Tensor, "image neuron"]
) -> Bool[Tensor, "image neuron"]:
    """The images of largest prediction, as many as are positive; of equal ones the first."""
    place = guess.argsort(dim=0, descending=True, stable=True).argsort(dim=0)
    return place < positive.sum(dim=0)


def _per_neuron(
    score: Callable[[np.ndarray, np.ndarray], float],
    positive: Bool[Tensor, "image neuron"],
    guess: Float[Tensor, "image neuron"] | Bool[Tensor, "image neuron"],
) -> Float[Tensor, " neuron"]:
    """A scikit-learn score of every neuron that has positives; NaN for the others."""
    found = [
        float(score(truth.numpy(), column.numpy())) if truth.any() else math.nan
        for truth, column in zip(positive.T, guess.T, strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64)


def _summary(scores: Float[Tensor, " neuron"]) -> Summary:
    defined = scores[~scores.isnan()]
    undefined = len(scores) - len(defined)
    if not len(defined):
        return Summary(math.nan, math.nan, undefined)
    return Summary(defined.mean().item(), defined.quantile(0.5).item(), undefined)


def _derangement(count: int, generator: torch.Generator) -> Tensor:
    """A permutation that leaves nothing in its place: each goes to the next along a random ring."""
    if count < 2:
        raise ValueError(f"expected at least 2 neurons to shuffle; got {count}")
    ring = torch.randperm(count, generator=generator)
    order = torch.empty_like(ring)
    order[ring] = ring.roll(1)
    return order


def _redrawn(codes: SparseCodes, atoms: int, generator: torch.Generator) -> Tensor:
    """The codes' indices on other atoms, distinct within a code; padding stays."""
    words = codes.indices.shape[1]
    if words > atoms:
        raise ValueError(f"expected at most {atoms} words per code; got {words}")
    drawn = torch.stack([torch.randperm(atoms, generator=generator)[:words] for _ in codes.indices])
    return drawn.to(codes.indices.device).where(codes.indices >= 0, -1)
