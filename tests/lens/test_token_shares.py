"""The shares of tokens against the effects that they add up to, and against explicit loops."""

import pytest
import torch

from advgen.lens import SecondOrderLens, head_effects
from advgen.lens.token_shares import attention_shares, neuron_shares


@pytest.fixture
def contrast(any_clip) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(any_clip.embed_dim, generator=generator).double()


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return float((found - expected).norm() / expected.norm()) <= 1e-10


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_tokens_sum_to_the_effects_of_every_neuron(any_clip, pixels, contrast, treatment):
    lens = SecondOrderLens(any_clip, [0, 1, 2], treatment=treatment)
    for image in (0, 2):
        one = pixels[image : image + 1]
        shares = dict(neuron_shares(any_clip, one, contrast, [2, 0, 1], treatment=treatment))
        assert list(shares) == [2, 1, 0]
        for layer, found in shares.items():
            expected = lens.effects(one, layer)[0] @ contrast
            assert found.shape == (any_clip.vision.tokens, any_clip.vision.neurons)
            assert close(found.sum(dim=0), expected)


@torch.no_grad()
def looped_share(model, blocks, pool, states, layer, token, neurons, contrast, centered):
    """One token's share of some neurons of image 0, head by head, scales and attention frozen."""
    centre = (lambda v: v - v.mean()) if centered else (lambda v: v)
    change = torch.zeros_like(states.final[0])
    for neuron in neurons:
        write = blocks.scale_2(layer)(blocks.write(layer).weight[:, neuron])
        strength = states.activation[layer][0, token, neuron]
        for later in range(layer + 1, len(blocks.list)):
            norm, heads = blocks.norm(later), blocks.heads(later)
            stream, wide = states.residual[later][0, token], write.numel()
            scale = (((stream - stream.mean()) ** 2).mean() + norm.eps).sqrt()
            read = norm.weight * centre(write) * strength / scale
            for head in range(heads):
                part = slice(head * wide // heads, (head + 1) * wide // heads)
                value = blocks.in_proj(later)[0][2 * wide :][part]
                out = blocks.out_proj(later).weight[:, part]
                moved = blocks.scale_1(later)(out @ (value @ read))
                for reader in range(len(change)):
                    change[reader] += states.attention[later][0, head, reader, token] * moved
    return float(pool(model, states.final[0], change, centered) @ contrast)


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_a_token_s_share_by_explicit_loops(
    any_clip, pixels, contrast, forward, blocks_of, pool_change, treatment
):
    model, layer, neurons = any_clip.model, 1, [0, 7, 30]
    states, blocks = forward(model, pixels), blocks_of(model.visual)
    ((_, shares),) = neuron_shares(any_clip, pixels[:1], contrast, [layer], treatment=treatment)
    for token in (0, 4, any_clip.vision.tokens - 1):
        expected = looped_share(
            model,
            blocks,
            pool_change,
            states,
            layer,
            token,
            neurons,
            contrast,
            treatment == "centered",
        )
        assert float(shares[token, neurons].sum()) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_attention_shares_are_the_heads_effects(any_clip, pixels, contrast, treatment):
    one = pixels[:1]
    expected = sum(
        head_effects(any_clip, one, layer, treatment=treatment)[0].sum(dim=0) @ contrast
        for layer in range(any_clip.vision.layers)
    )
    found = attention_shares(any_clip, one, contrast, treatment=treatment)
    assert isinstance(expected, torch.Tensor)
    assert close(found, expected)


@pytest.mark.parametrize("layers", [[], [3], [-1], [0, 9]])
def test_layers_without_a_later_head_are_refused(plain_clip, pixels, layers):
    contrast = torch.ones(plain_clip.embed_dim).double()
    with pytest.raises(ValueError, match=r"expected layers from 0 to 2"):
        list(neuron_shares(plain_clip, pixels[:1], contrast, layers))


def test_an_unknown_treatment_is_refused(plain_clip, pixels, refused):
    contrast = torch.ones(plain_clip.embed_dim).double()
    with pytest.raises(refused):
        list(neuron_shares(plain_clip, pixels[:1], contrast, [0], treatment="none"))
    with pytest.raises(refused):
        attention_shares(plain_clip, pixels[:1], contrast, treatment="none")


@pytest.mark.parametrize("count", [0, 2])
def test_one_image_at_a_time(plain_clip, pixels, shapes_unchecked, count):
    contrast, some = torch.ones(plain_clip.embed_dim).double(), pixels[:count]
    with pytest.raises(ValueError, match=rf"of one image; got shape \({count}, 3"):
        attention_shares(plain_clip, some, contrast)
    with pytest.raises(ValueError, match=rf"of one image; got shape \({count}, 3"):
        list(neuron_shares(plain_clip, some, contrast, [0]))
