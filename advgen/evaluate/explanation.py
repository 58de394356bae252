"""Why a CLIP reads an image as one class rather than another: places, and the neurons behind them.

Fig. 6 of arXiv 2406.04341 for any image and pair, with the neurons of Sec. 5.1 seen from the image:
not those that could push towards the target class, but those that did.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError, ModelError
from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.lens.basis import Treatment
from advgen.lens.token_shares import neuron_shares
from advgen.models import ClipModel
from advgen.neurons import SignedWord
from advgen.records import ClassPair, Neuron
from advgen.scoring import PairScores, score_pair
from advgen.scoring.heatmap import first_order_heatmap, second_order_heatmap, square_side


@dataclass(frozen=True, slots=True)
class NeuronPush:
    """What one neuron did to the margin of one image.

    Attributes:
        neuron: Which one.
        contribution: <phi_n(I) - b_n, v> / ||M_image(I)||, in units of the margin.
        projection: <phi_n(I) - b_n, r_n> / ||M_image(I)||: which way along its direction.
        words: Sparse code of r_n, signed, largest magnitude first; empty before it is known.
    """

    neuron: Neuron
    contribution: float
    projection: float
    words: tuple[SignedWord, ...] = ()

    @property
    def raised(self) -> tuple[SignedWord, ...]:
        """The words that the neuron adds to the embedding of this image, coefficients above 0."""
        return tuple(word for word in self._turned if word.coefficient > 0)

    @property
    def lowered(self) -> tuple[SignedWord, ...]:
        """The words that it takes off, coefficients below 0."""
        return tuple(word for word in self._turned if word.coefficient < 0)

    @property
    def _turned(self) -> tuple[SignedWord, ...]:
        sign = math.copysign(1.0, self.projection)
        return tuple(SignedWord(word.word, sign * word.coefficient) for word in self.words)


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One image and one pair; all contributions are in units of the margin.

    Attributes:
        pair: The classes.
        scores: Cosines, margin, probability of the target class.
        first_order: What each patch adds through the attention heads alone.
        second_order: What each patch adds through neurons of the chosen layers and later heads.
        towards: Neurons that pushed most towards the target class, strongest first.
        against: Neurons that pushed most towards the true class, strongest first.
    """

    pair: ClassPair
    scores: PairScores
    first_order: Float[Tensor, "row column"]
    second_order: Float[Tensor, "row column"]
    towards: tuple[NeuronPush, ...] = ()
    against: tuple[NeuronPush, ...] = ()

    @property
    def taken_for(self) -> str:
        """The class that the model prefers."""
        return self.pair.target_class if self.scores.fooled else self.pair.true_class


def check_explainable(clip: ClipModel, layers: Iterable[int]) -> None:
    """Refuse a model or layers without heat maps.

    Raises:
        ConfigError: If a layer does not exist or has no later attention layer to act through.
        ModelError: If the model has no patches in a square, or its tower cannot be read.
    """
    last = clip.vision.layers - 2
    wrong = [layer for layer in layers if not 0 <= layer <= last]
    if wrong:
        raise ConfigError(
            f"layer {wrong[0]} of {clip.name} has no later attention layer to act through; "
            f"choose layers from 0 to {last}"
        )
    try:
        square_side(clip)
    except ValueError as error:
        raise ModelError(
            f"{clip.name} has no heat maps: its patches form no square; choose another model"
        ) from error


@torch.no_grad()
def explain_image(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    pair: ClassPair,
    classes: Float[Tensor, "2 embed"],
    layers: Sequence[int],
    *,
    directions: Mapping[int, NeuronDirections] | None = None,
    count: int = 0,
    treatment: Treatment = "paper",
) -> Explanation:
    """Scores, both heat maps and the neurons that pushed most, for one image and one pair.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: One preprocessed image.
        pair: Names of the classes.
        classes: Their unit embeddings, (true, target).
        layers: MLP layers whose neurons count.
        directions: Of all neurons of these layers, from the same model and treatment.
        count: Neurons named on each side; above 0 it needs `directions`.
        treatment: Of the layer norms' means, see `lens.basis.EffectBasis`.

    Raises:
        ValueError: If neurons are asked for without directions, a layer has no later head, or the
            patches form no square.
    """
    if count and directions is None:
        raise ValueError(f"expected directions for {count} neurons; got none")
    contrast = classes[1] - classes[0]
    image = clip.encode_image(pixels, normalize=False)
    norm = float(image[0].norm())
    (scores,) = score_pair(image / norm, classes, clip.logit_scale)
    explanation = Explanation(
        pair=pair,
        scores=scores,
        first_order=first_order_heatmap(clip, pixels, contrast, treatment=treatment),
        second_order=second_order_heatmap(
            clip, pixels, contrast, layers=layers, treatment=treatment
        ),
    )
    if not count or directions is None:
        return explanation
    pushed = contributions(clip, pixels, contrast, layers, directions, treatment=treatment)
    ordered = sorted(pushed.items(), key=lambda item: (-item[1], item[0].layer, item[0].index))
    # A neuron that pushed the other way, or not at all, is no example of either side.
    chosen = [
        [(neuron, value) for neuron, value in side[:count] if value * sign > 0]
        for sign, side in ((1, ordered), (-1, ordered[::-1]))
    ]
    named = [neuron for side in chosen for neuron, _ in side]
    along = _projections(clip, pixels, named, directions, treatment)
    towards, against = (
        tuple(NeuronPush(neuron, value / norm, along[neuron] / norm) for neuron, value in side)
        for side in chosen
    )
    return dataclasses.replace(explanation, towards=towards, against=against)


def contributions(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    contrast: Float[Tensor, " embed"],
    layers: Sequence[int],
    directions: Mapping[int, NeuronDirections],
    *,
    treatment: Treatment = "paper",
) -> dict[Neuron, float]:
    """<phi_n(I) - b_n, v> of every neuron of some layers, in units of the image embedding."""
    found: dict[Neuron, float] = {}
    for layer, shares in neuron_shares(clip, pixels, contrast, layers, treatment=treatment):
        bias = directions[layer].bias.float() @ contrast.float()
        values: list[float] = (shares.sum(dim=0).float().cpu() - bias).tolist()
        found.update({Neuron(layer, index): value for index, value in enumerate(values)})
    return found


def with_words(
    explanation: Explanation, words: Mapping[Neuron, Sequence[SignedWord]]
) -> Explanation:
    """The explanation with the words of its neurons."""

    def worded(side: Iterable[NeuronPush]) -> tuple[NeuronPush, ...]:
        return tuple(dataclasses.replace(push, words=tuple(words[push.neuron])) for push in side)

    return dataclasses.replace(
        explanation, towards=worded(explanation.towards), against=worded(explanation.against)
    )


def explanation_row(explanation: Explanation) -> dict[str, Any]:
    """An explanation as plain values, for JSON."""
    scores = explanation.scores
    return {
        "pair": str(explanation.pair),
        "cos_true": scores.cos_true,
        "cos_target": scores.cos_target,
        "margin": scores.margin,
        "prob_target": scores.prob_target,
        "taken_for": explanation.taken_for,
        "first_order": _map_row(explanation.first_order),
        "second_order": _map_row(explanation.second_order),
        "towards": [_push_row(push) for push in explanation.towards],
        "against": [_push_row(push) for push in explanation.against],
    }


def _map_row(heat: Float[Tensor, "row column"]) -> dict[str, Any]:
    rows = [[round(value, 7) for value in row] for row in heat.tolist()]
    return {"sum": float(heat.double().sum()), "patches": rows}


def _push_row(push: NeuronPush) -> dict[str, Any]:
    return {
        "layer": push.neuron.layer,
        "index": push.neuron.index,
        "contribution": push.contribution,
        "projection": push.projection,
        "words": [dataclasses.asdict(word) for word in push.words],
    }


def _projections(
    clip: ClipModel,
    pixels: Float[Tensor, "1 3 height width"],
    named: Sequence[Neuron],
    directions: Mapping[int, NeuronDirections],
    treatment: Treatment,
) -> dict[Neuron, float]:
    """<phi_n(I) - b_n, r_n> of a few neurons."""
    if not named:
        return {}
    layers = sorted({neuron.layer for neuron in named})
    lens = SecondOrderLens(clip, layers, treatment=treatment)
    alpha = lens.coefficients(pixels).alpha
    found = {}
    for neuron in named:
        only = slice(neuron.index, neuron.index + 1)
        effect = alpha[neuron.layer][0, neuron.index] @ lens.basis.rows(neuron.layer, only)[0]
        layer = directions[neuron.layer]
        centred = effect.float().cpu() - layer.bias[neuron.index].float()
        found[neuron] = float(centred @ layer.direction[neuron.index].float())
    return found
