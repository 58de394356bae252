"""Other ways from an image to words: similarity, a sparse code of the embedding, TextSpan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from advgen.lens import head_effects
from advgen.models import ClipModel
from advgen.text import EncodedPool, Solver, decompose

_TINY = 1e-12


def image_word_similarity(
    images: Float[Tensor, "image embed"],
    words: Float[Tensor, "word embed"],
    *,
    image_mean: Float[Tensor, " embed"] | None = None,
    word_mean: Float[Tensor, " embed"] | None = None,
) -> Float[Tensor, "image word"]:
    """Cosines of image and text embeddings, with a mean taken off either side where one is given.

    The means are those of unit embeddings: without them every image is close to the same words.

    Args:
        images: Image embeddings of any length.
        words: Text embeddings of any length.
        image_mean: Mean unit embedding of the images of D.
        word_mean: Mean unit embedding of the pool.
    """
    return _away_from(images, image_mean) @ _away_from(words, word_mean).T


def mean_direction(embeddings: Float[Tensor, "item embed"]) -> Float[Tensor, " embed"]:
    """The mean of the unit embeddings."""
    return _unit(embeddings).mean(dim=0)


def sparse_image_words(
    images: Float[Tensor, "image embed"],
    image_mean: Float[Tensor, " embed"],
    encoded: EncodedPool,
    solver: Solver,
    *,
    nonzeros: int,
) -> Float[Tensor, "image word"]:
    """The image embedding itself as a sparse sum of words, both sides without their means.

    Source: the idea of SpLiCE (arXiv 2402.10376), with the same pursuit as for neurons in place of
    its non-negative lasso.

    Args:
        images: Image embeddings of any length.
        image_mean: See `image_word_similarity`.
        encoded: The pool.
        solver: What finds the codes.
        nonzeros: Words per image.
    """
    targets = _unit(_unit(images) - image_mean)
    codes = decompose(targets, encoded, solver, nonzeros=nonzeros, atoms="centered-unit")
    return codes.dense(len(encoded.embeddings)).to(images)


@dataclass(frozen=True, slots=True, eq=False)
class HeadWords:
    """The text basis of one attention head.

    Attributes:
        words: Numbers of the words, in the order found.
        basis: Their unit directions, each orthogonal to those before.
        mean: Mean effect of the head over D.
        bound: Quantile over D of the norm of its centred effect: above it the head is active.
    """

    words: Int[Tensor, " span"]
    basis: Float[Tensor, "span embed"]
    mean: Float[Tensor, " embed"]
    bound: float


@torch.no_grad()
def summed_head_effects(
    clip: ClipModel,
    batches: Iterable[Float[Tensor, "_ 3 height width"]],
    layers: Sequence[int],
) -> Float[Tensor, "image head embed"]:
    """The direct effect of every head of some layers, its tokens summed.

    Args:
        clip: The model.
        batches: Preprocessed images, a few at a time: a head's effect is formed token by token.
        layers: Attention layers, from 0.

    Returns:
        On the CPU; heads layer by layer in the order of `layers`.
    """
    return torch.cat(
        [
            torch.cat(
                [head_effects(clip, pixels, layer).sum(dim=2).float().cpu() for layer in layers],
                dim=1,
            )
            for pixels in batches
        ]
    )


def text_span(
    effects: Float[Tensor, "image embed"],
    words: Float[Tensor, "word embed"],
    count: int,
) -> tuple[Int[Tensor, " span"], Float[Tensor, "span embed"]]:
    """The words that explain most of the variance of a head's effects, greedily.

    In every step the word of largest projected variance is taken and projected out of both the
    effects and the words. Source: arXiv 2310.05916, Algorithm 1 (TextSpan).

    Words are first projected on the span of the effects, as there; here by going over to
    coordinates on that span.

    Args:
        effects: Centred effects of one head over D.
        words: Text embeddings, the pool's mean taken off.
        count: Words wanted; fewer where the effects are explained before.

    Returns:
        Numbers of the words and their unit directions, each orthogonal to those before.
    """
    _, singular, span = torch.linalg.svd(effects.double(), full_matrices=False)
    span = span[singular > singular.max() * 1e-5]
    left, rest = effects.double() @ span.T, words.double() @ span.T
    chosen: list[int] = []
    basis: list[Tensor] = []
    for _ in range(min(count, len(span), len(words))):
        variance = (left @ rest.T).square().sum(dim=0)
        number = int(variance.argmax())
        if float(variance[number]) <= _TINY:
            break
        direction = _unit(rest[number][None])[0]
        chosen.append(number)
        basis.append(direction)
        left = left - (left @ direction)[:, None] * direction
        rest = rest - (rest @ direction)[:, None] * direction
        rest[chosen] = 0.0  # rounding must not bring a word back
    rows = torch.stack(basis) @ span if basis else span[:0]
    return torch.tensor(chosen, dtype=torch.long), rows.to(effects.dtype)


def head_words(
    effects: Float[Tensor, "image head embed"],
    words: Float[Tensor, "word embed"],
    *,
    span: int,
    quantile: float = 0.0,
) -> list[HeadWords]:
    """The text basis of every head over an image set D.

    Args:
        effects: Of all heads over D.
        words: Text embeddings of any length; the mean of the unit embeddings is taken off.
        span: Words per head.
        quantile: Of the centred norm, in [0, 1]; 0 makes every head active.
    """
    centred_words = _away_from(words, mean_direction(words))
    found = []
    for head in effects.transpose(0, 1):
        mean = head.mean(dim=0)
        numbers, basis = text_span(head - mean, centred_words, span)
        bound = float((head - mean).norm(dim=1).quantile(quantile)) if quantile else -1.0
        found.append(HeadWords(numbers, basis, mean, bound))
    return found


def text_span_words(
    effects: Float[Tensor, "image head embed"], heads: Sequence[HeadWords], words: int
) -> Float[Tensor, "image word"]:
    """Words of an image's active heads, weighed by the effects' projections on their directions.

    Args:
        effects: Of all heads on the images looked at.
        heads: Their text bases.
        words: Size of the pool.
    """
    total = effects.new_zeros(len(effects), words)
    for effect, head in zip(effects.transpose(0, 1), heads, strict=True):
        centred = effect - head.mean
        active: Bool[Tensor, " image"] = centred.norm(dim=1) > head.bound
        total.index_add_(1, head.words, (centred @ head.basis.T) * active[:, None])
    return total


def frequent_words(right: Bool[Tensor, "image word"], images: int) -> Float[Tensor, "other word"]:
    """The same scores for every image: how often each word was right over other images.

    Args:
        right: Of the images that are counted.
        images: How many images the scores are for.
    """
    return right.float().mean(dim=0).repeat(images, 1)


def _unit(rows: Float[Tensor, "item embed"]) -> Float[Tensor, "item embed"]:
    return rows / rows.norm(dim=-1, keepdim=True).clamp_min(_TINY)


def _away_from(
    rows: Float[Tensor, "item embed"], mean: Float[Tensor, " embed"] | None
) -> Float[Tensor, "item embed"]:
    return _unit(rows) if mean is None else _unit(_unit(rows) - mean)
