import numpy as np
import torch
from sklearn.metrics.pairwise import cosine_similarity

from advgen.evaluate.concepts.baselines import (
    HeadWords,
    frequent_words,
    head_words,
    image_word_similarity,
    mean_direction,
    sparse_image_words,
    summed_head_effects,
    text_span,
    text_span_words,
)
from advgen.lens import head_effects
from advgen.text import SklearnOmp, make_atoms, make_solver


def test_similarity_is_the_cosine() -> None:
    images, words = torch.randn(5, 8), 3 * torch.randn(7, 8)
    expected = cosine_similarity(images.numpy(), words.numpy())
    np.testing.assert_allclose(image_word_similarity(images, words), expected, atol=1e-6)
    unit = images / images.norm(dim=1, keepdim=True)
    centred = cosine_similarity((unit - unit.mean(dim=0)).numpy(), words.numpy())
    found = image_word_similarity(images, words, image_mean=mean_direction(images))
    np.testing.assert_allclose(found, centred, atol=1e-6)
    far = image_word_similarity(words, images, word_mean=mean_direction(images))
    np.testing.assert_allclose(far, centred.T, atol=1e-6)


def test_the_sparse_code_of_an_image_is_scikit_learns(encoded) -> None:
    images = torch.randn(3, encoded.embeddings.shape[1])
    mean = mean_direction(images)
    found = sparse_image_words(images, mean, encoded, make_solver(), nonzeros=4)
    unit = images / images.norm(dim=1, keepdim=True)
    targets = (unit - mean) / (unit - mean).norm(dim=1, keepdim=True)
    atoms = make_atoms(encoded.embeddings, "centered-unit")
    expected = SklearnOmp().solve(targets.double(), atoms.double(), 4).dense(len(atoms))
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    assert ((found != 0).sum(dim=1) == 4).all()


def test_text_span_on_axes() -> None:
    """Effects vary most on axis 1, then on axis 0; axis 2 is outside of their span."""
    effects = torch.tensor([[1.0, 3.0, 0.0], [-1.0, 3.0, 0.0], [0.0, -6.0, 0.0]])
    words = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 9.0], [0.0, 1.0, 0.0], [0.3, 0.3, 0.0]])
    numbers, basis = text_span(effects, words, 3)
    assert numbers.tolist() == [2, 0]
    torch.testing.assert_close(basis.abs(), torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))


def reference_text_span(effects: np.ndarray, words: np.ndarray, count: int) -> list[int]:
    """Algorithm 1 of arXiv 2310.05916 as it is written: project, pick, project out."""
    values, vectors = np.linalg.eigh(effects.T @ effects)
    span = vectors[:, values > values.max() * 1e-9]
    left, rest = effects.copy(), words @ span @ span.T
    chosen = []
    for _ in range(count):
        variance = ((rest @ left.T) ** 2).sum(axis=1)
        chosen.append(int(variance.argmax()))
        axis = rest[chosen[-1]] / np.linalg.norm(rest[chosen[-1]])
        left -= np.outer(left @ axis, axis)
        rest -= np.outer(rest @ axis, axis)
    return chosen


def test_text_span_is_the_papers_algorithm() -> None:
    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(6, 12, generator=generator)
    effects = torch.randn(40, 6, generator=generator) @ mixing  # six of twelve dimensions
    words = torch.randn(30, 12, generator=generator)
    numbers, basis = text_span(effects, words, 5)
    assert numbers.tolist() == reference_text_span(
        effects.double().numpy(), words.double().numpy(), 5
    )
    torch.testing.assert_close(basis @ basis.T, torch.eye(5), rtol=0, atol=1e-5)
    all_of_it, _ = text_span(effects, words, 20)
    assert len(all_of_it) == 6


def test_words_of_active_heads_are_weighed_by_projection() -> None:
    heads = [
        HeadWords(torch.tensor([1, 0]), torch.eye(2), torch.tensor([1.0, 0.0]), 0.5),
        HeadWords(torch.tensor([1]), torch.tensor([[0.0, 1.0]]), torch.zeros(2), 4.0),
    ]
    effects = torch.tensor([[[3.0, 1.0], [0.0, 5.0]], [[1.0, 0.25], [0.0, 4.0]]])
    assert text_span_words(effects, heads, 3).tolist() == [[1.0, 7.0, 0.0], [0.0, 0.0, 0.0]]


def test_heads_of_the_tower(clip, encoded, pixels) -> None:
    effects = summed_head_effects(clip, [pixels[:16], pixels[16:]], (4, 5))
    expected = head_effects(clip, pixels[16:], 5).sum(dim=2)
    torch.testing.assert_close(effects[16:, expected.shape[1] :], expected, rtol=1e-4, atol=1e-4)
    heads = head_words(effects[:16], encoded.embeddings, span=3, quantile=0.5)
    assert len(heads) == effects.shape[1]
    for number, head in enumerate(heads):
        norms = (effects[:16, number] - head.mean).norm(dim=1)
        assert (norms > head.bound).sum() == 8
        assert len(set(head.words.tolist())) == 3
    everything = head_words(effects[:16], encoded.embeddings, span=3)
    assert all(head.bound < 0 for head in everything)


def test_frequent_words_say_the_same_of_every_image() -> None:
    right = torch.tensor([[True, False], [True, True]])
    assert frequent_words(right, 3).tolist() == [[1.0, 0.5]] * 3
