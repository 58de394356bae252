"""The ways from scenes to words that `benchmarks.concepts` compares, all from one pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from advgen.errors import ConfigError
from advgen.evaluate.concepts.baselines import (
    frequent_words,
    head_words,
    image_word_similarity,
    mean_direction,
    sparse_image_words,
    summed_head_effects,
    text_span_words,
)
from advgen.evaluate.concepts.choice import NOTHING, spread_words
from advgen.evaluate.concepts.discover import RULES, ConceptFinder, ConceptRule
from advgen.evaluate.concepts.effects import EffectSizes, effect_sizes, joined_sizes
from advgen.evaluate.concepts.opening import codes_cached, readable_batches
from advgen.evaluate.concepts.truth import best_hits, chance_precision, recall_at, right_words
from advgen.experiments.subject import Subject
from advgen.imagesets.batches import PixelBatches
from advgen.imagesets.chosen import choose_images
from advgen.sandbox.images import SandboxImages
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.scene import Scene
from advgen.text import EncodedPool, encode_pool, load_pool, make_atoms, make_solver
from benchmarks.concept_truth import LEVELS, true_words

DEPTHS = (1, 5, 10)
"""Numbers of words k that precision is taken at."""
DEEPEST = 12
"""Curves go to this k."""
SEEN_OF_D = 500
"""Images of D that the baselines' means and text bases come from."""
HEAD_LAYERS = 2
"""The last attention layers, whose heads TextSpan looks at; earlier ones write next to nothing."""
SPAN = 30
"""Words per head; of 10 and 30 the better one on the tuning scenes."""
IMAGE_WORDS = 10
Make = Callable[[], "Found"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Options of a second-order row.

    Attributes:
        rule: See `ConceptRule`.
        layers: MLP layers; None: all of the subject's.
        nonzeros: Words per neuron (m).
        atoms: Treatment of the pool's embeddings.
    """

    rule: ConceptRule = field(default_factory=ConceptRule)
    layers: tuple[int, ...] | None = None
    nonzeros: int = 32
    atoms: str = "unit"


TUNED = Choice(rule=RULES["active"])
"""Best of `tuning` by the mean over levels of precision@10; signed or not is the same there."""

NEURONS_SPREAD = Choice(rule=RULES["spread"])
SPREAD = RULES["spread"].spread
"""Of 0.1, 0.2 and 0.4 the best precision@10 of things on the tuning scenes."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Everything that the methods read, computed once.

    Attributes:
        subject: Model, image sets, directions, store.
        scenes: What was drawn.
        encoded: The text pool in the joint space.
        right: Level -> which words of the pool are right for which scene.
        frequent: Level -> how often each word is right in the scenes of D.
        things: Per scene, for every thing in it, the words that name it.
        sizes: Of all neurons' effects on the scenes.
        images: Embeddings of the scenes.
        image_mean: Mean unit embedding over the first images of D.
        heads: Direct effects of the last layers' heads on the scenes.
        d_heads: The same on the first images of D.
    """

    subject: Subject
    scenes: list[Scene]
    encoded: EncodedPool
    right: Mapping[str, Bool[Tensor, "image word"]]
    frequent: Mapping[str, Float[Tensor, "image word"]]
    things: list[list[list[int]]]
    sizes: EffectSizes
    images: Float[Tensor, "image embed"]
    image_mean: Float[Tensor, " embed"]
    heads: Float[Tensor, "image head embed"]
    d_heads: Float[Tensor, "seen head embed"]

    @property
    def texts(self) -> tuple[str, ...]:
        """The pool."""
        return self.encoded.pool.texts


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What one method says of every scene.

    Attributes:
        settings: Its options, as plain values.
        scores: Level -> scores of all words (the same for every level but for frequent words);
            empty: words drawn at random, by expectation.
    """

    settings: dict[str, Any]
    scores: Mapping[str, Float[Tensor, "image word"]] = field(default_factory=dict)
    _hits: dict[str, Bool[Tensor, "image rank"]] = field(default_factory=dict, repr=False)

    def precision(self, material: Material, level: str, k: int) -> Float[Tensor, " image"]:
        """Precision@k of every scene."""
        if not self.scores:
            return chance_precision(material.right[level])
        if level not in self._hits:
            hits = best_hits(self.scores[level], material.right[level], DEEPEST)
            self._hits[level] = hits
        return self._hits[level][:, :k].double().mean(dim=1)

    def recall(self, material: Material, k: int) -> Float[Tensor, " image"] | None:
        """Share of every scene's things that k words name; None for words drawn at random."""
        if not self.scores or not all(material.things):
            return None
        return recall_at(self.scores["thing"], material.things, k)


def gather(subject: Subject, images: SandboxImages) -> Material:
    """One pass over the scenes and one over the first images of D."""
    encoded = encode_pool(subject.clip, load_pool(subject.config.pool))
    texts = encoded.pool.texts
    scenes = [images.scene(number) for number in range(len(images))]
    lens, directions = subject.lens(), subject.directions
    sizes: list[EffectSizes] = []
    rows: list[Tensor] = []
    heads: list[Tensor] = []
    last = range(subject.clip.vision.layers - HEAD_LAYERS, subject.clip.vision.layers)

    def sizes_of(pixels: Tensor) -> None:
        sizes.append(effect_sizes(lens, directions, pixels))

    _walk(subject, subject.evaluated, last, rows, heads, sizes_of)
    d_rows: list[Tensor] = []
    d_heads: list[Tensor] = []
    seen = choose_images(subject.summarised.images, limit=SEEN_OF_D)
    source = PixelBatches(seen, subject.clip.preprocess, subject.config.batch_size)
    _walk(subject, source, last, d_rows, d_heads)
    prior = {
        level: right_words(texts, [true_words(scene, level) for scene in _scenes_of_d(subject)])
        for level in LEVELS
    }
    return Material(
        subject=subject,
        scenes=scenes,
        encoded=encoded,
        right={
            level: right_words(texts, [true_words(scene, level) for scene in scenes])
            for level in LEVELS
        },
        frequent={level: frequent_words(right, len(scenes)) for level, right in prior.items()},
        things=_things(scenes, texts),
        sizes=joined_sizes(sizes),
        images=torch.cat(rows),
        image_mean=mean_direction(torch.cat(d_rows)),
        heads=torch.cat(heads),
        d_heads=torch.cat(d_heads),
    )


def methods(material: Material) -> Iterator[tuple[str, Make]]:
    """The rows of the table."""
    yield "second-order, paper", lambda: second_order(material, Choice())
    yield "second-order, tuned", lambda: second_order(material, TUNED)
    yield "second-order, all neurons, spread", lambda: second_order(material, NEURONS_SPREAD)
    yield from baselines(material)


def baselines(material: Material) -> Iterator[tuple[str, Make]]:
    """Ways to words that read no neuron."""
    words, mean = material.encoded.embeddings, material.image_mean
    images = material.images

    def same(scores: Tensor, **settings: Any) -> Found:
        return Found(settings, dict.fromkeys(LEVELS, scores))

    yield "similarity", lambda: same(image_word_similarity(images, words))
    yield (
        "similarity, image centred",
        lambda: same(image_word_similarity(images, words, image_mean=mean), centred=["image"]),
    )
    yield (
        "similarity, image centred, spread",
        lambda: same(
            spread_scores(_centred(images, mean), make_atoms(words, "unit"), SPREAD),
            centred=["image"],
            spread=SPREAD,
        ),
    )
    yield (
        "similarity, both centred",
        lambda: same(
            image_word_similarity(images, words, image_mean=mean, word_mean=mean_direction(words)),
            centred=["image", "word"],
        ),
    )
    yield (
        "sparse code of the image",
        lambda: same(
            sparse_image_words(images, mean, material.encoded, make_solver(), nonzeros=IMAGE_WORDS),
            nonzeros=IMAGE_WORDS,
        ),
    )
    yield (
        "TextSpan of the heads",
        lambda: same(
            text_span_words(
                material.heads, head_words(material.d_heads, words, span=SPAN), len(words)
            ),
            layers=HEAD_LAYERS,
            span=SPAN,
        ),
    )
    yield "most frequent words of D", lambda: Found({}, material.frequent)
    yield "random words", lambda: Found({"expected": True})


def second_order(material: Material, choice: Choice) -> Found:
    """Scores by the neurons that every scene activates."""
    subject = material.subject
    options: dict[str, Any] = {}
    if choice.rule.score == "codes":
        options["codes"] = codes_cached(
            subject.store,
            subject.directions,
            material.encoded,
            make_solver(),
            nonzeros=choice.nonzeros,
            atoms=choice.atoms,
            progress=subject.progress,
        )
    else:
        options["atoms"] = make_atoms(material.encoded.embeddings, choice.atoms)
    finder = ConceptFinder(
        subject.lens(), subject.directions, material.texts, choice.rule, **options
    )
    sizes = _of_layers(material, choice.layers)
    if choice.rule.spread:
        scores = _by_rank(finder.best(sizes, DEEPEST), len(material.texts))
    else:
        scores = finder.weights(sizes)
    return Found(dataclasses.asdict(choice), dict.fromkeys(LEVELS, scores))


def spread_scores(
    images: Float[Tensor, "image embed"], words: Float[Tensor, "word embed"], share: float
) -> Float[Tensor, "image word"]:
    """Scores in the order of `spread_words`."""
    return _by_rank(spread_words(images, words, DEEPEST, share), len(words))


def _by_rank(order: Int[Tensor, "image rank"], words: int) -> Float[Tensor, "image word"]:
    """Scores that have words in this order, and 0 for all others."""
    places = torch.arange(order.shape[1], 0, -1.0).expand(order.shape)
    scores = torch.zeros(len(order), words + 1)  # the last column takes what is `NOTHING`
    return scores.scatter_(1, order.where(order != NOTHING, words), places)[:, :words]


def _centred(
    images: Float[Tensor, "image embed"], mean: Float[Tensor, " embed"]
) -> Float[Tensor, "image embed"]:
    return images / images.norm(dim=1, keepdim=True) - mean


def _of_layers(material: Material, layers: tuple[int, ...] | None) -> EffectSizes:
    """The sizes with other layers' neurons silent."""
    if layers is None:
        return material.sizes
    directions = material.subject.directions
    keep = torch.cat(
        [torch.full((len(directions[layer]),), layer in layers) for layer in sorted(directions)]
    )
    return EffectSizes(material.sizes.norms * keep, material.sizes.projections * keep)


def _walk(
    subject: Subject,
    source: PixelBatches,
    layers: range,
    rows: list[Tensor],
    heads: list[Tensor],
    more: Callable[[Tensor], None] = lambda pixels: None,
) -> None:
    subject.progress.stage(f"one pass over {source.images.name}", len(source.images))
    for batch in readable_batches(source, subject.progress):
        rows.append(subject.clip.encode_image(batch.pixels).float().cpu())
        heads.append(summed_head_effects(subject.clip, [batch.pixels], layers))
        more(batch.pixels)


def _scenes_of_d(subject: Subject) -> list[Scene]:
    images = subject.summarised.images
    if not isinstance(images, SandboxImages):
        raise ConfigError(f"{images.name}: give --lens-images sandbox:2000, whose scenes are known")
    return [images.scene(number) for number in range(len(images))]


def _things(scenes: list[Scene], texts: tuple[str, ...]) -> list[list[list[int]]]:
    number = {text: position for position, text in enumerate(texts)}
    nouns = {
        name: [number[noun] for noun in concept.nouns if noun in number]
        for name, concept in load_lexicon().concepts.items()
    }
    return [[nouns[name] for name in scene.concepts if nouns[name]] for scene in scenes]
