"""Words for what is in an image: the sparse codes of the neurons that it activates (Sec. 5.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.evaluate.concepts.choice import NOTHING, best_words, spread_words
from advgen.evaluate.concepts.effects import EffectSizes, Threshold, activated, effect_sizes
from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.mining import rank_words
from advgen.records import MinedWord, Neuron
from advgen.text import SparseCodes

TOP_WORDS = 10
Score = Literal["codes", "projection"]
"""How a neuron speaks for words, see `ConceptRule.score`."""
SCORES: tuple[Score, ...] = get_args(Score)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptRule:
    """How activated neurons become words; the defaults are the paper's.

    Attributes:
        threshold: From where on a neuron is activated, see `activated`.
        score: `codes` weighs a word by gamma_j^n (paper); `projection` by <t_j, r_n>, t_j being
            the pool's atoms, so that every neuron says something of every word.
        signed: Weigh a neuron by x_n(I), its effect's signed coordinate on r_n, in place of the
            effect's norm: the code speaks for r_n, and an effect against r_n speaks against it.
        specific: Multiply each word's weight by its `specificity`.
        spread: Share of a chosen word that is taken off the image before the next one is chosen,
            see `spread_words`; 0 takes the words of largest weight (paper).
    """

    threshold: Threshold = "quantile"
    score: Score = "codes"
    signed: bool = False
    specific: bool = False
    spread: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.score not in SCORES:
            raise ValueError(f"expected a score of {', '.join(SCORES)}; got {self.score!r}")
        if self.specific and self.score == "projection":
            raise ValueError("expected score 'codes' with specific words; got 'projection'")
        if not 0 <= self.spread <= 1:
            raise ValueError(f"expected a spread from 0 to 1; got {self.spread}")
        if self.spread and self.score == "codes":
            raise ValueError("expected score 'projection' with a spread; got 'codes'")
        if self.threshold == "none" and not self.signed:
            raise ValueError("expected signed effects without a threshold; got norms")


RULES = {
    "spread": ConceptRule(threshold="none", score="projection", signed=True, spread=0.2),
    "active": ConceptRule(threshold="top", score="projection"),
    "paper": ConceptRule(),
}
"""Rules by name. `spread` and `active` were chosen on scenes of the sandbox (docs/lab-log.md)."""


@dataclass(frozen=True, slots=True)
class ImageConcepts:
    """The words found for one image.

    Attributes:
        image: What the image is called.
        activated: How many neurons it activates.
        words: In the order said; each with the weight w_j^I and the neurons that add most to it.
    """

    image: str
    activated: int
    words: tuple[MinedWord, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ConceptFinder:
    """Finds words for images with one CLIP and one text pool.

    Attributes:
        lens: Of the layers used.
        directions: Layer -> directions and thresholds over the image set D.
        texts: The pool.
        rule: How activated neurons become words.
        codes: Sparse codes of all these neurons' directions, layer by layer; for `codes`.
        atoms: Float [word, embed], the pool's embeddings t_j as treated; for `projection`.

    Raises:
        ValueError: If what the rule's score needs is missing.
    """

    lens: SecondOrderLens
    directions: Mapping[int, NeuronDirections]
    texts: Sequence[str]
    rule: ConceptRule
    codes: SparseCodes | None = None
    atoms: Float[Tensor, "word embed"] | None = None

    def __post_init__(self) -> None:
        """Check that the rule can be followed."""
        if getattr(self, "codes" if self.rule.score == "codes" else "atoms") is None:
            raise ValueError(f"expected what the score '{self.rule.score}' needs; got None")

    def sizes(self, pixels: Float[Tensor, "image 3 height width"]) -> EffectSizes:
        """See `effect_sizes`."""
        return effect_sizes(self.lens, self.directions, pixels)

    def weights(self, sizes: EffectSizes) -> Float[Tensor, "image word"]:
        """w_j^I for every image and word of the pool, in units of the image embedding."""
        strengths = activation_strengths(sizes, self.directions, self.rule)
        if self.rule.score == "projection":
            return strengths @ self._directions.to(strengths) @ self._atoms.to(strengths).T
        weights = word_weights(strengths, self._codes, len(self.texts))
        return weights * self._factor.to(weights)

    def words(
        self, sizes: EffectSizes, names: Sequence[str], *, top: int = TOP_WORDS
    ) -> list[ImageConcepts]:
        """The `top` words of every image that have a positive weight, in the order of `best`.

        Args:
            sizes: Of the images' effects.
            names: What the images are called.
            top: Words kept at most.
        """
        strengths = activation_strengths(sizes, self.directions, self.rule)
        neurons = [
            Neuron(layer, index)
            for layer in sorted(self.directions)
            for index in range(len(self.directions[layer]))
        ]
        found = []
        for name, row, best in zip(names, strengths, self.best(sizes, top), strict=True):
            best = best[best != NOTHING]
            active: list[int] = torch.nonzero(row)[:, 0].tolist()
            terms = row[active, None] * self._speech(active, best).to(row)
            numbers: list[int] = best.tolist()
            texts = [self.texts[number] for number in numbers]
            words = rank_words(terms, [neurons[number] for number in active], texts)
            if self.rule.spread:
                place = {text: position for position, text in enumerate(texts)}
                words.sort(key=lambda word: place[word.word])
            found.append(ImageConcepts(name, len(active), tuple(words)))
        return found

    def best(self, sizes: EffectSizes, count: int) -> Int[Tensor, "image rank"]:
        """Numbers of the `count` words said first, in order; `NOTHING` where there are fewer."""
        if not self.rule.spread:
            return best_words(self.weights(sizes), count)
        strengths = activation_strengths(sizes, self.directions, self.rule)
        images = strengths @ self._directions.to(strengths)
        return spread_words(images, self._atoms.to(strengths), count, self.rule.spread)

    def _speech(
        self, neurons: list[int], words: Int[Tensor, " word"]
    ) -> Float[Tensor, "neuron word"]:
        """How some neurons speak for some words of the pool."""
        if self.rule.score == "projection":
            return self._directions[neurons] @ self._atoms[words].T
        named = self._codes.indices[neurons, :, None] == words
        values = self._codes.values[neurons, :, None].where(named, 0.0).sum(dim=1)
        return values * self._factor[words]

    @property
    def _directions(self) -> Float[Tensor, "neuron embed"]:
        layers = sorted(self.directions)
        return torch.cat([self.directions[layer].direction for layer in layers]).float()

    @property
    def _codes(self) -> SparseCodes:
        assert self.codes is not None
        return self.codes

    @property
    def _atoms(self) -> Float[Tensor, "word embed"]:
        assert self.atoms is not None
        return self.atoms.float()

    @property
    def _factor(self) -> Float[Tensor, " word"]:
        factor = specificity(self._codes, len(self.texts))
        return factor if self.rule.specific else torch.ones_like(factor)


def activation_strengths(
    sizes: EffectSizes, directions: Mapping[int, NeuronDirections], rule: ConceptRule
) -> Float[Tensor, "image neuron"]:
    """||phi_n(I) - b_n||, or x_n(I) where the rule is signed; 0 for neurons not activated."""
    active = activated(sizes.norms, directions, rule.threshold)
    values = sizes.projections if rule.signed else sizes.norms
    return values.where(active, 0.0)


def word_weights(
    strengths: Float[Tensor, "image neuron"], codes: SparseCodes, words: int
) -> Float[Tensor, "image word"]:
    """w_j^I = sum over n of gamma_j^n times the strength of neuron n in image I (Sec. 5.2).

    Only the codes of a row's non-zero neurons are read, so neither codes nor effects are ever
    spread out over the whole pool and all neurons.

    Args:
        strengths: 0 for neurons that an image does not activate.
        codes: gamma, one row per neuron.
        words: Size of the pool.

    Raises:
        ValueError: If there are more or fewer codes than neurons.
    """
    if len(codes.indices) != strengths.shape[1]:
        raise ValueError(
            f"expected codes of {strengths.shape[1]} neurons; got {len(codes.indices)}"
        )
    weights = strengths.new_zeros(len(strengths), words)
    for total, row in zip(weights, strengths, strict=True):
        active = torch.nonzero(row)[:, 0]
        terms = row[active, None] * codes.values[active].to(row)  # padding has the value 0
        total.index_add_(0, codes.indices[active].clamp_min(0).flatten(), terms.flatten())
    return weights


def specificity(codes: SparseCodes, words: int) -> Float[Tensor, " word"]:
    """log((1 + N) / (1 + n_j)): small for a word that many neurons have, as in tf-idf.

    N is the number of neurons with a code and n_j how many of them have word j with a positive
    coefficient.

    Differs from the paper: it weighs all words alike.

    Args:
        codes: gamma, one row per neuron.
        words: Size of the pool.
    """
    positive = codes.indices[codes.values > 0]
    holders = torch.bincount(positive, minlength=words).double()
    coded = (codes.indices >= 0).any(dim=1).sum()
    return ((1 + coded) / (1 + holders)).log().to(codes.values.dtype)
