"""The effects against explicit loops, exact sums, finite differences and the authors' numbers."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from advgen.lens import SecondOrderLens
from advgen.models import OpenClipModel

SIGLIP = "vit_base_patch16_siglip_224"


def relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return float((value - expected).norm() / expected.norm())


def sigma(x: torch.Tensor, norm) -> torch.Tensor:
    return torch.sqrt(((x - x.mean()) ** 2).mean() + norm.eps)


@torch.no_grad()
def brute_force(blocks, pool, states, layer: int, neuron: int, image: int, treatment: str):
    """Eq. 5 / Eq. 11 for one neuron and image, token by token and head by head."""
    centered = treatment == "centered"
    centre = (lambda v: v - v.mean()) if centered else (lambda v: v)
    write = blocks.scale_2(layer)(blocks.write(layer).weight[:, neuron])
    change = torch.zeros_like(states.final[image])
    tokens = range(len(change))
    for later in range(layer + 1, len(blocks.list)):
        heads, norm = blocks.heads(later), blocks.norm(later)
        width = write.numel() // heads
        for head in range(heads):
            rows = slice(2 * write.numel() + head * width, 2 * write.numel() + (head + 1) * width)
            value = blocks.in_proj(later)[0][rows]
            out = blocks.out_proj(later).weight[:, head * width : (head + 1) * width]
            for token in tokens:
                scale = sigma(states.residual[later][image, token], norm)
                strength = states.activation[layer][image, token, neuron]
                read = norm.weight * centre(write) * strength / scale
                moved = blocks.scale_1(later)(out @ (value @ read))
                for reader in tokens:
                    change[reader] += states.attention[later][image, head, reader, token] * moved
    return pool(states.final[image], change, centered)


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_effects_equal_explicit_loops(any_clip, pixels, forward, blocks_of, pool_change, treatment):
    lens = SecondOrderLens(any_clip, [2, 0], treatment=treatment)
    states = forward(any_clip.model, pixels)
    blocks, pool = blocks_of(any_clip.model.visual), partial(pool_change, any_clip.model)
    for layer in (0, 2):
        effects = lens.effects(pixels, layer)
        for neuron, image in ((0, 1), (5, 0), (35, 2)):
            expected = brute_force(blocks, pool, states, layer, neuron, image, treatment)
            assert relative_error(effects[image, neuron], expected) <= 1e-10


@torch.no_grad()
def frozen_change(blocks, states, layer: int) -> torch.Tensor:
    """What a layer's neurons add to the last stream through later heads, on whole writes."""
    change = torch.zeros_like(states.final)
    written = blocks.scale_2(layer)(states.activation[layer] @ blocks.write(layer).weight.T)
    for later in range(layer + 1, len(blocks.list)):
        norm = blocks.norm(later)
        scale = (states.residual[later].var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
        read = norm.weight * (written - written.mean(-1, keepdim=True)) / scale
        rows = states.attention[later]
        change += blocks.attend(later, read, rows) - blocks.attend(later, read * 0, rows)
    return change


def test_centered_effects_sum_to_the_exact_contribution(
    any_clip, pixels, forward, blocks_of, pool_change
):
    states, blocks = forward(any_clip.model, pixels), blocks_of(any_clip.model.visual)
    lens = SecondOrderLens(any_clip, [0, 1, 2], treatment="centered")
    for layer in lens.layers:
        change = frozen_change(blocks, states, layer)
        total = lens.effects(pixels, layer).sum(1)
        for image in range(len(pixels)):
            expected = pool_change(any_clip.model, states.final[image], change[image], True)
            assert relative_error(total[image], expected) <= 1e-10


class Frozen:
    """Layer-norm scales, attention rows and a pool's MLP of one pass, kept for the next one."""

    def __init__(self, model, monkeypatch):
        self.kept: list[torch.Tensor] = []
        self.replay = None
        monkeypatch.setattr(F, "layer_norm", self.layer_norm)
        monkeypatch.setattr(F, "scaled_dot_product_attention", self.attention)
        for name, module in model.visual.named_modules():
            if name.endswith("attn_pool.mlp"):
                monkeypatch.setattr(module, "forward", partial(self.whole, module.forward))

    def again(self):
        self.replay = iter(self.kept)

    def state(self, compute):
        if self.replay is not None:
            return next(self.replay)
        self.kept.append(compute())
        return self.kept[-1]

    def whole(self, forward, x):
        return self.state(lambda: forward(x))

    def layer_norm(self, x, shape, weight, bias, eps=1e-5):
        scale = self.state(lambda: (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt())
        return weight * (x - x.mean(-1, keepdim=True)) / scale + bias

    def attention(self, query, key, value, *_, **__):
        scale = query.shape[-1] ** -0.5
        rows = self.state(lambda: (query @ key.transpose(-1, -2) * scale).softmax(-1))
        return rows @ value


@torch.no_grad()
def test_effects_equal_the_change_of_the_towers_own_pooling(
    any_clip, pixels, forward, blocks_of, monkeypatch
):
    """Scale one neuron's writes and run the pooling's own code with its rows and scales frozen."""
    model, layer, neuron = any_clip.model, 1, 7
    expected = any_clip.encode_image(pixels, normalize=False)
    effect = SecondOrderLens(any_clip, [layer], treatment="centered").effects(pixels, layer)
    blocks, states = blocks_of(model.visual), forward(model, pixels)
    column = blocks.scale_2(layer)(blocks.write(layer).weight[:, neuron])
    written = states.activation[layer][:, :, neuron, None] * column
    moved = states.final.clone()
    for later in range(layer + 1, len(blocks.list)):
        norm, rows = blocks.norm(later), states.attention[later]
        scale = (states.residual[later].var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
        read = norm.weight * (written - written.mean(-1, keepdim=True)) / scale
        moved += blocks.attend(later, read, rows) - blocks.attend(later, read * 0, rows)
    frozen = Frozen(model, monkeypatch)
    plain = any_clip.vision.finish(states.final, any_clip.vision.layers)
    frozen.again()
    changed = any_clip.vision.finish(moved, any_clip.vision.layers)
    assert len(frozen.kept) and torch.allclose(plain, expected, atol=1e-11)
    assert relative_error(effect[:, neuron], changed - plain) <= 1e-10


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
def test_images_need_not_be_square(make_model, forward, blocks_of, pool_change, size):
    clip = OpenClipModel(make_model(image_size=size))
    pixels = torch.randn(2, 3, *size, dtype=torch.float64)
    states = forward(clip.model, pixels)
    effects = SecondOrderLens(clip, [1]).effects(pixels, 1)
    blocks, pool = blocks_of(clip.model.visual), partial(pool_change, clip.model)
    expected = brute_force(blocks, pool, states, 1, 3, 1, "paper")
    assert relative_error(effects[1, 3], expected) <= 1e-10


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.bfloat16, 0.1), (torch.float16, 0.02), (torch.float32, 1e-4)]
)
@pytest.mark.parametrize("kind", [{}, {"timm_model_name": SIGLIP, "timm_pool": "map"}])
def test_towers_of_any_precision_sum_in_float32(make_model, pixels, kind, dtype, error):
    expected = SecondOrderLens(OpenClipModel(make_model(**kind)), [1]).effects(pixels, 1)
    tower = OpenClipModel(make_model(dtype=dtype, **kind))
    effects = SecondOrderLens(tower, [1]).effects(pixels, 1)
    assert effects.dtype == torch.float32
    assert relative_error(effects.double(), expected) < error


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
