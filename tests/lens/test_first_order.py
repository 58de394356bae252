"""Direct effects of neurons and heads against whole writes and the pooling's frozen change."""

import pytest
import torch

from advgen.lens import attention_effects, first_order_effects, head_effects


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_neurons_sum_to_the_write(any_clip, pixels, forward, blocks_of, pool_change, treatment):
    states, blocks = forward(any_clip.model, pixels), blocks_of(any_clip.model.visual)
    layer = 3
    with torch.no_grad():
        written = blocks.scale_2(layer)(states.activation[layer] @ blocks.write(layer).weight.T)
    found = first_order_effects(any_clip, pixels, layer, treatment=treatment).sum(dim=1)
    for image in range(len(pixels)):
        expected = pool_change(
            any_clip.model, states.final[image], written[image], treatment == "centered"
        )
        assert torch.allclose(found[image], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_heads_and_tokens_sum_to_the_attentions_write(
    any_clip, pixels, forward, blocks_of, pool_change, treatment
):
    states, blocks = forward(any_clip.model, pixels), blocks_of(any_clip.model.visual)
    layer, model = 2, any_clip.model
    with torch.no_grad():
        y = blocks.norm(layer)(states.residual[layer])
        whole = blocks.attend(layer, y, states.attention[layer])
        bias = blocks.scale_1(layer)(blocks.out_proj(layer).bias)
    found = head_effects(any_clip, pixels, layer, treatment=treatment)
    assert found.shape[1:3] == (3, y.shape[1])
    for image in range(len(pixels)):
        expected = pool_change(
            model, states.final[image], whole[image] - bias, treatment == "centered"
        )
        assert torch.allclose(found[image].sum(dim=(0, 1)), expected, rtol=1e-9, atol=1e-11)


def test_one_head_and_token_by_hand(plain_clip, pixels, forward):
    states, visual = forward(plain_clip.model, pixels), plain_clip.model.visual
    layer, head, token, image = 1, 2, 4, 0
    block = visual.transformer.resblocks[layer]
    width = 24 // 3
    part = slice(head * width, (head + 1) * width)
    with torch.no_grad():
        y = block.ln_1(states.residual[layer])[image, token]
        value = block.attn.in_proj_weight[48:][part] @ y + block.attn.in_proj_bias[48:][part]
        moved = block.attn.out_proj.weight[:, part] @ value
        moved = states.attention[layer][image, head, 0, token] * moved
        last = states.final[image, 0]
        scale = torch.sqrt(last.var(unbiased=False) + visual.ln_post.eps)
        expected = (visual.ln_post.weight * moved / scale) @ visual.proj
    found = head_effects(plain_clip, pixels, layer)[image, head, token]
    assert torch.allclose(found, expected, rtol=1e-10)


def test_attention_effects_are_the_heads_with_their_bias(
    any_clip, pixels, forward, blocks_of, pool_change
):
    states, blocks = forward(any_clip.model, pixels), blocks_of(any_clip.model.visual)
    found, representation = attention_effects(any_clip, pixels)
    assert torch.allclose(representation, any_clip.encode_image(pixels, normalize=False))
    for layer in range(4):
        with torch.no_grad():
            y = blocks.norm(layer)(states.residual[layer])
            whole = blocks.attend(layer, y, states.attention[layer])
        for image in range(len(pixels)):
            expected = pool_change(any_clip.model, states.final[image], whole[image], True)
            assert torch.allclose(found[image, layer], expected, rtol=1e-9, atol=1e-11)


def test_unknown_options(plain_clip, pixels, refused):
    with pytest.raises(refused):
        first_order_effects(plain_clip, pixels, 0, treatment="none")
    with pytest.raises(ValueError, match="layer must be in"):
        head_effects(plain_clip, pixels, 9)
