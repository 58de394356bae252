import pytest
import torch

from advgen.lens import (
    SecondOrderLens,
    ablated_representations,
    classification_accuracy,
    first_order_effects,
)


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_ablation_subtracts_the_centred_effects(clip, many_pixels, treatment):
    lens = SecondOrderLens(clip, [2, 0], treatment=treatment)
    collected = lens.collect(many_pixels.split(8), alpha_dtype=torch.float64)
    expected = clip.encode_image(many_pixels, normalize=False)
    for layer in (0, 2):
        total = lens.effects(many_pixels, layer).sum(dim=1)
        expected = expected - (total - total.mean(dim=0))
    assert torch.allclose(ablated_representations(lens, collected), expected, rtol=1e-9)
    one = ablated_representations(lens, collected, [2])
    assert torch.allclose(one.mean(0), collected.representation.mean(0))
    assert not torch.allclose(one, expected)


def test_ablating_a_layer_that_was_not_collected(plain_clip, pixels):
    lens = SecondOrderLens(plain_clip, [0])
    with pytest.raises(ValueError, match="must be among"):
        ablated_representations(lens, lens.collect([pixels]), [1])


def test_accuracy_counts_the_most_similar_class():
    classifier = torch.eye(3)
    representation = torch.tensor([[9.0, 1, 0], [0, 1, 5], [0, 2, 1], [3, 0, 1]])
    labels = torch.tensor([0, 1, 1, 0])
    assert classification_accuracy(representation, classifier, labels) == 0.75


@torch.no_grad()
def test_first_order_effects_sum_to_the_direct_write(clip, pixels, forward, refused):
    visual = clip.model.visual
    states = forward(clip.model, pixels)
    layer, block = 3, visual.transformer.resblocks[3]
    written = block.ls_2(states.activation[layer][:, 0] @ block.mlp.c_proj.weight.T)
    last = states.final[:, 0]
    scale = torch.sqrt(last.var(-1, unbiased=False, keepdim=True) + visual.ln_post.eps)
    centred = written - written.mean(-1, keepdim=True)
    expected = (visual.ln_post.weight * centred / scale) @ visual.proj
    found = first_order_effects(clip, pixels, layer, treatment="centered")
    assert torch.allclose(found.sum(dim=1), expected, rtol=1e-10)
    plain = first_order_effects(clip, pixels, layer).sum(dim=1)
    assert torch.allclose(plain, (visual.ln_post.weight * written / scale) @ visual.proj)
    with pytest.raises(refused):
        first_order_effects(clip, pixels, layer, treatment="none")
