"""Indirect effects against whole forward passes with a hook on the neuron."""

import numpy as np
import pytest
import torch

from advgen.lens import (
    ablated_layer,
    indirect_directions,
    indirect_effects,
    mean_activations,
)


def with_activations(clip, blocks, layer, change, pixels):
    """A whole pass with the activations of a layer changed by a function."""
    block = blocks.list[layer]
    module = block.mlp.act if blocks.timm else block.mlp.gelu
    handle = module.register_forward_hook(lambda module, args, output: change(output))
    try:
        return clip.encode_image(pixels, normalize=False)
    finally:
        handle.remove()


@pytest.fixture
def blocks(any_clip, blocks_of):
    return blocks_of(any_clip.model.visual)


def test_means_are_per_token(any_clip, many_pixels, blocks):
    seen = []
    with_activations(any_clip, blocks, 1, lambda p: seen.append(p.clone()), many_pixels)
    found = mean_activations(any_clip, many_pixels.split(7), [2, 1])
    assert set(found) == {1, 2} and torch.allclose(found[1], seen[0].mean(dim=0))


def test_effects_equal_whole_passes(any_clip, pixels, blocks):
    layer, neurons = 1, [7, 0, 30]
    mean = mean_activations(any_clip, [pixels], [layer])[layer]
    found = indirect_effects(any_clip, pixels, layer, mean, neurons, rows=4)
    plain = any_clip.encode_image(pixels, normalize=False)
    for place, neuron in enumerate(neurons):

        def ablate(activation, neuron=neuron):
            activation = activation.clone()
            activation[:, :, neuron] = mean[:, neuron]
            return activation

        changed = with_activations(any_clip, blocks, layer, ablate, pixels)
        assert torch.allclose(found[:, place], plain - changed, atol=1e-11)


def test_ablating_a_layer_equals_a_whole_pass(any_clip, pixels, blocks):
    mean = mean_activations(any_clip, [pixels], [2])[2]
    expected = with_activations(any_clip, blocks, 2, lambda p: mean.expand_as(p), pixels)
    assert torch.allclose(ablated_layer(any_clip, pixels, 2, mean), expected, atol=1e-11)


def test_directions_equal_numpy_on_explicit_effects(plain_clip, many_pixels):
    directions = indirect_directions(
        plain_clip, lambda: many_pixels.split(9), 2, [3, 11], top_images=12
    )
    mean = mean_activations(plain_clip, [many_pixels], [2])[2]
    effects = indirect_effects(plain_clip, many_pixels, 2, mean, [3, 11]).numpy()
    centred = effects - effects.mean(axis=0)
    for neuron in range(2):
        norms = np.linalg.norm(centred[:, neuron], axis=1)
        order = np.argsort(-norms)[:12]
        _, values, vectors = np.linalg.svd(centred[order, neuron])
        assert abs(directions.direction[neuron].numpy() @ vectors[0]) >= 1 - 1e-9
        share = values[0] ** 2 / (values**2).sum()
        assert directions.explained_variance[neuron] == pytest.approx(share)
        assert directions.top_images[neuron].tolist() == order.tolist()


@pytest.mark.parametrize("neurons", [[-1], [36]])
def test_neurons_must_exist(plain_clip, pixels, neurons):
    mean = mean_activations(plain_clip, [pixels], [0])[0]
    with pytest.raises(ValueError, match=r"neurons must be in 0\.\.35"):
        indirect_effects(plain_clip, pixels, 0, mean, neurons)


def test_no_images(plain_clip):
    with pytest.raises(ValueError, match="at least one batch"):
        mean_activations(plain_clip, [], [0])
