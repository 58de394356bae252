"""Directions against numpy on the explicit effects."""

import numpy as np
import pytest
import torch

from advgen.errors import ModelError
from advgen.lens import SecondOrderLens
from advgen.lens.coefficients import StreamedTable

EXACT = {"alpha_dtype": torch.float64}


def explicit(clip, pixels, layer):
    effects = SecondOrderLens(clip, [layer]).effects(pixels, layer).numpy()
    return effects - effects.mean(0), effects.mean(0)


def test_summary_equals_numpy_on_explicit_effects(clip, many_pixels):
    top = 20
    for layer in (0, 2):
        lens = SecondOrderLens(clip, [layer])
        found = lens.directions([many_pixels], top_images=top, **EXACT)[layer]
        centred, bias = explicit(clip, many_pixels, layer)
        norms = np.linalg.norm(centred, axis=-1)
        assert np.allclose(found.bias, bias)
        assert np.allclose(found.norm_quantile, np.quantile(norms, 0.98, axis=0))
        for neuron in range(len(found)):
            order = np.argsort(-norms[:, neuron])[:top]
            assert found.top_images[neuron].tolist() == order.tolist()
            assert np.allclose(found.top_norms[neuron], norms[order, neuron])
            assert np.isclose(found.norm_threshold[neuron], norms[order[-1], neuron])
            strongest = centred[order, neuron]
            _, values, vectors = np.linalg.svd(strongest)
            direction = found.direction[neuron].numpy()
            assert abs(direction @ vectors[0]) >= 1 - 1e-6
            assert np.isclose(np.linalg.norm(direction), 1)
            share = values[0] ** 2 / (values**2).sum()
            assert np.isclose(found.explained_variance[neuron], share)
            projection = strongest @ direction
            assert (projection > 0).sum() >= top / 2
            assert np.isclose(found.mean_projection[neuron], projection.mean())


def test_default_precision_finds_the_same_directions(oracle):
    clip, pixels, _, _ = oracle
    found = SecondOrderLens(clip, [1]).directions([pixels], top_images=12)[1]
    centred, _ = explicit(clip, pixels, 1)
    for neuron in range(0, len(found), 5):
        top = found.top_images[neuron].numpy()
        _, values, vectors = np.linalg.svd(centred[top, neuron].astype(np.float64))
        if values[1] < 0.95 * values[0]:
            assert abs(found.direction[neuron].numpy() @ vectors[0]) >= 1 - 1e-6


def test_tie_of_signs_is_settled_the_same_way(plain_clip, many_pixels):
    pair = many_pixels[:2]  # two centred effects are exact opposites: always a tie
    lens = SecondOrderLens(plain_clip, [1])
    one = lens.directions([pair], **EXACT)[1].direction
    other = lens.directions([pair.flip(0)], **EXACT)[1].direction
    assert torch.allclose(one, other, atol=1e-8)
    largest = one.gather(1, one.abs().argmax(1, keepdim=True))
    assert (largest < 0).all()


def test_streaming_equals_one_batch(clip, many_pixels):
    lens = SecondOrderLens(clip, [2, 0])
    whole = lens.directions([many_pixels], top_images=9, **EXACT)
    parts = lens.directions(iter(many_pixels.split(5)), top_images=9, **EXACT)
    assert whole.keys() == parts.keys() == {0, 2}
    for layer in whole:
        for name, expected in whole[layer].to_tensors().items():
            assert torch.allclose(parts[layer].to_tensors()[name], expected, atol=1e-9), name


def test_small_budget_goes_to_a_file_and_changes_nothing(plain_clip, many_pixels):
    lens = SecondOrderLens(plain_clip, [2, 0])
    memory = lens.collect(many_pixels.split(5))
    disk = lens.collect(many_pixels.split(5), memory_bytes=20_000)
    for layer in lens.layers:
        assert disk.tables[layer].on_disk and not memory.tables[layer].on_disk
        everything = slice(None)
        assert torch.equal(
            disk.tables[layer].rows(everything), memory.tables[layer].rows(everything)
        )
    found = lens.directions(many_pixels.split(5), memory_bytes=20_000, top_images=8)
    expected = lens.directions(many_pixels.split(5), top_images=8)
    assert torch.equal(found[0].direction, expected[0].direction)


def test_fewer_images_than_top_images(plain_clip, many_pixels):
    found = SecondOrderLens(plain_clip, [0]).directions([many_pixels[:4]], top_images=100)[0]
    assert found.top_images.shape == (36, 4)
    assert found.explained_variance.isfinite().all()


def test_one_image_has_no_direction(plain_clip, many_pixels):
    found = SecondOrderLens(plain_clip, [0]).directions([many_pixels[:1]])[0]
    assert found.direction.abs().max() == 0
    assert found.explained_variance.max() == 0


def test_dead_neuron_has_no_direction(make_model, many_pixels):
    from advgen.models import OpenClipModel

    model = make_model()
    model.visual.transformer.resblocks[1].mlp.c_proj.weight.data[:, 4] = 0
    found = SecondOrderLens(OpenClipModel(model), [1]).directions([many_pixels])[1]
    assert found.direction[4].abs().max() == 0
    assert found.direction[5].norm() == pytest.approx(1)


def test_no_images(plain_clip):
    with pytest.raises(ValueError, match="at least one batch"):
        SecondOrderLens(plain_clip, [0]).directions([])


def test_top_images_must_be_positive(plain_clip, pixels):
    with pytest.raises(ValueError, match="top_images >= 1"):
        SecondOrderLens(plain_clip, [0]).directions([pixels], top_images=0)


def test_coefficients_that_do_not_fit_are_reported():
    table = StreamedTable(2, 3, dtype=torch.float16, budget=1000)
    with pytest.raises(ModelError, match=r"float32"):
        table.append(torch.full((1, 2, 3), 1e6))
    with pytest.raises(ValueError, match="expected alpha"):
        table.append(torch.zeros(1, 3, 2))
