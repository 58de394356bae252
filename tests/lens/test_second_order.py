"""The effects against explicit loops, exact sums, finite differences and the authors' numbers."""

import pytest
import torch

from advgen.lens import SecondOrderLens


def relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return float((value - expected).norm() / expected.norm())


def sigma(x: torch.Tensor, norm) -> torch.Tensor:
    return torch.sqrt(((x - x.mean()) ** 2).mean() + norm.eps)


@torch.no_grad()
def brute_force(model, states, layer: int, neuron: int, image: int, treatment: str):
    """Eq. 5 / Eq. 11 for one neuron and image, token by token and head by head."""
    visual, blocks = model.visual, model.visual.transformer.resblocks
    centre = (lambda v: v - v.mean()) if treatment == "centered" else (lambda v: v)
    total = torch.zeros(visual.proj.shape[1], dtype=torch.float64)
    write = blocks[layer].ls_2(blocks[layer].mlp.c_proj.weight[:, neuron])
    for later in range(layer + 1, len(blocks)):
        block = blocks[later]
        width = write.numel() // block.attn.num_heads
        for head in range(block.attn.num_heads):
            rows = slice(2 * write.numel() + head * width, 2 * write.numel() + (head + 1) * width)
            value = block.attn.in_proj_weight[rows]
            out = block.attn.out_proj.weight[:, head * width : (head + 1) * width]
            for token in range(states.final.shape[1]):
                scale = sigma(states.residual[later][image, token], block.ln_1)
                strength = states.activation[layer][image, token, neuron]
                weight = states.attention[later][image, head, 0, token]
                read = block.ln_1.weight * centre(write) * strength / scale
                moved = block.ls_1(out @ (value @ read)) * weight
                scale = sigma(states.final[image, 0], visual.ln_post)
                total += (visual.ln_post.weight * centre(moved) / scale) @ visual.proj
    return total


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_effects_equal_explicit_loops(clip, pixels, forward, treatment):
    lens = SecondOrderLens(clip, [2, 0], treatment=treatment)
    states = forward(clip.model, pixels)
    for layer in (0, 2):
        effects = lens.effects(pixels, layer)
        for neuron in (0, 5, 35):
            for image in range(2):
                expected = brute_force(clip.model, states, layer, neuron, image, treatment)
                assert relative_error(effects[image, neuron], expected) <= 1e-10


def frozen_contribution(model, states, layer: int, neurons: slice) -> torch.Tensor:
    """What the neurons add to the embedding through later heads, computed on whole writes."""
    visual, blocks = model.visual, model.visual.transformer.resblocks
    out_sum = torch.zeros_like(states.final[:, 0])
    proj = blocks[layer].mlp.c_proj.weight[:, neurons]
    written = blocks[layer].ls_2(states.activation[layer][:, :, neurons] @ proj.T)
    for later in range(layer + 1, len(blocks)):
        block, x = blocks[later], states.residual[later]
        scale = torch.sqrt(x.var(-1, unbiased=False, keepdim=True) + block.ln_1.eps)
        read = block.ln_1.weight * (written - written.mean(-1, keepdim=True)) / scale
        value = read @ block.attn.in_proj_weight[2 * x.shape[-1] :].T
        heads = value.unflatten(-1, (block.attn.num_heads, -1))
        mixed = torch.einsum("iht,ithv->ihv", states.attention[later][:, :, 0], heads)
        out_sum = out_sum + block.ls_1(mixed.flatten(1) @ block.attn.out_proj.weight.T)
    last = states.final[:, 0]
    scale = torch.sqrt(last.var(-1, unbiased=False, keepdim=True) + visual.ln_post.eps)
    centred = out_sum - out_sum.mean(-1, keepdim=True)
    return (visual.ln_post.weight * centred / scale) @ visual.proj


@torch.no_grad()
def test_centered_effects_sum_to_the_exact_contribution(clip, pixels, forward):
    states = forward(clip.model, pixels)
    lens = SecondOrderLens(clip, [0, 1, 2], treatment="centered")
    for layer in lens.layers:
        expected = frozen_contribution(clip.model, states, layer, slice(None))
        assert relative_error(lens.effects(pixels, layer).sum(1), expected) <= 1e-10


@torch.no_grad()
def test_effects_equal_a_finite_difference(clip, pixels, forward):
    """Perturb one neuron's write and rerun later attention and ln_post with frozen rows."""
    model, layer, neuron, step = clip.model, 1, 7, 1e-4
    visual, blocks = model.visual, model.visual.transformer.resblocks
    states = forward(model, pixels)
    column = blocks[layer].ls_2(blocks[layer].mlp.c_proj.weight[:, neuron])
    written = states.activation[layer][:, :, neuron, None] * column

    def normed(x, frozen, norm):
        scale = torch.sqrt(frozen.var(-1, unbiased=False, keepdim=True) + norm.eps)
        return norm.weight * (x - x.mean(-1, keepdim=True)) / scale + norm.bias

    def attended(later: int, amount: float):
        block = blocks[later]
        y = normed(states.residual[later] + amount * written, states.residual[later], block.ln_1)
        width = y.shape[-1]
        value = y @ block.attn.in_proj_weight[2 * width :].T + block.attn.in_proj_bias[2 * width :]
        heads = value.unflatten(-1, (block.attn.num_heads, -1))
        mixed = torch.einsum("iht,ithv->ihv", states.attention[later][:, :, 0], heads)
        return block.ls_1(block.attn.out_proj(mixed.flatten(1)))

    def embedding(amount: float):
        moved = states.final[:, 0].clone()
        for later in range(layer + 1, len(blocks)):
            moved += attended(later, amount) - attended(later, 0.0)
        return normed(moved, states.final[:, 0], visual.ln_post) @ visual.proj

    assert torch.allclose(embedding(0.0), clip.encode_image(pixels, normalize=False), atol=1e-12)
    slope = (embedding(step) - embedding(-step)) / (2 * step)
    effect = SecondOrderLens(clip, [layer], treatment="centered").effects(pixels, layer)
    assert relative_error(effect[:, neuron], slope) <= 1e-8


def test_authors_numbers(oracle):
    clip, pixels, expected, representation = oracle
    assert torch.allclose(
        clip.encode_image(pixels, normalize=False), torch.from_numpy(representation), atol=1e-5
    )
    for treatment, low, high in (("paper", 0.0, 0.01), ("centered", 0.1, 0.3)):
        lens = SecondOrderLens(clip, [3, 1], treatment=treatment)
        for layer, effects in expected.items():
            effects = effects - effects.mean(0)
            found = lens.effects(pixels, layer)
            found = found - found.mean(0)
            assert low <= relative_error(found, effects) <= high
            if treatment == "paper":
                cosine = torch.cosine_similarity(found, effects, dim=-1).flatten()
                assert cosine.sort().values[cosine.numel() // 100] > 0.999


def test_unit_scale_is_the_effect_over_the_embedding_norm(clip, pixels):
    plain = SecondOrderLens(clip, [1]).effects(pixels, 1)
    norms = clip.encode_image(pixels, normalize=False).norm(dim=-1)
    lens = SecondOrderLens(clip, [1], scale="unit")
    assert torch.allclose(lens.effects(pixels, 1), plain * 100 / norms[:, None, None])
    representation = lens.coefficients(pixels).representation
    assert torch.allclose(representation.norm(dim=-1), torch.full_like(norms, 100.0))


def test_order_of_layers_and_batch_of_one_do_not_matter(clip, pixels):
    together = SecondOrderLens(clip, [2, 0, 1, 2])
    for layer in (0, 1, 2):
        alone = SecondOrderLens(clip, [layer])
        expected = alone.effects(pixels, layer)
        assert torch.allclose(together.effects(pixels, layer), expected, rtol=1e-12)
        assert torch.allclose(together.effects(pixels[:1], layer), expected[:1], rtol=1e-10)
        some = together.effects(pixels, layer, slice(3, 9))
        assert torch.allclose(some, expected[:, 3:9], rtol=1e-12)


@pytest.mark.parametrize("size", [(24, 16), (16, 32)])
def test_images_need_not_be_square(make_model, forward, size):
    from advgen.models import OpenClipModel

    clip = OpenClipModel(make_model(image_size=size))
    pixels = torch.randn(2, 3, *size, dtype=torch.float64)
    states = forward(clip.model, pixels)
    effects = SecondOrderLens(clip, [1]).effects(pixels, 1)
    expected = brute_force(clip.model, states, 1, 3, 1, "paper")
    assert relative_error(effects[1, 3], expected) <= 1e-10


def test_half_precision_tower_sums_in_float32(make_model, pixels):
    from advgen.models import OpenClipModel

    expected = SecondOrderLens(OpenClipModel(make_model()), [1]).effects(pixels, 1)
    half = OpenClipModel(make_model(dtype=torch.bfloat16))
    effects = SecondOrderLens(half, [1]).effects(pixels, 1)
    assert effects.dtype == torch.float32
    assert relative_error(effects.double(), expected) < 0.1


def test_capture_leaves_the_model_as_it_was(clip, pixels):
    before = clip.encode_image(pixels, normalize=False)
    representation = SecondOrderLens(clip, [0]).coefficients(pixels).representation
    assert torch.equal(before, representation)
    assert not any(module._forward_hooks for module in clip.model.modules())
    assert not any(module._forward_pre_hooks for module in clip.model.modules())


@pytest.mark.parametrize(
    "layers",
    [[], [3], [-1], [0, 7]],
)
def test_layers_must_have_later_heads(plain_clip, layers):
    with pytest.raises(ValueError, match="non-empty subset of 0..2"):
        SecondOrderLens(plain_clip, layers)


@pytest.mark.parametrize("option", [{"treatment": "exact"}, {"scale": "huge"}])
def test_unknown_options(plain_clip, option, refused):
    with pytest.raises(refused):
        SecondOrderLens(plain_clip, [0], **option)


def test_effects_of_a_layer_that_was_not_asked_for(plain_clip, pixels):
    with pytest.raises(ValueError, match="layer must be one of"):
        SecondOrderLens(plain_clip, [0]).effects(pixels, 1)
