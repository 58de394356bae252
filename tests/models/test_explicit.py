"""The written-out tower against open_clip's own modules, and its gradients against differences."""

import open_clip
import pytest
import torch
from torch import nn

from advgen.errors import ModelError
from advgen.models import OpenClipModel
from advgen.models.vision.explicit import ExplicitTower

VISION = {"image_size": 24, "patch_size": 8, "layers": 3, "width": 24, "head_width": 8}
TEXT = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
KINDS = {
    "gelu": {},
    "quickgelu": {"quick_gelu": True},
    "layer scale": {"ls_init_value": 0.5},
    "wide image": {"image_size": (24, 40)},
    "no norm before": {"no_ln_pre": True},
}


def make_clip(*, quick_gelu: bool = False, **vision) -> OpenClipModel:
    torch.manual_seed(0)
    model = open_clip.CLIP(10, {**VISION, **vision}, TEXT, quick_gelu=quick_gelu)
    for name, weight in model.visual.named_parameters():
        centre = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
        nn.init.normal_(weight, mean=centre, std=0.3)
    return OpenClipModel(model.double())


@pytest.fixture(params=KINDS)
def clip(request) -> OpenClipModel:
    return make_clip(**KINDS[request.param])


def random_pixels(clip: OpenClipModel) -> torch.Tensor:
    return torch.randn(3, 3, *clip.image_size, dtype=torch.float64)


def test_every_step_is_open_clips(clip) -> None:
    pixels = random_pixels(clip)
    tower = ExplicitTower(clip.vision)
    layers = range(tower.layers)
    seen = clip.vision.capture(pixels, activations=layers, norms=layers, outputs=layers)
    trace = tower.trace(pixels)
    for layer, block in enumerate(trace.blocks):
        for mine, theirs in (
            (block.entering, seen.residuals[layer]),
            (block.normed, seen.normed[layer]),
            (block.activations, seen.activations[layer]),
            (block.leaving, seen.outputs[layer]),
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(trace.representation, seen.representation, rtol=1e-10, atol=1e-10)
    assert not trace.representation.requires_grad


def test_attention_is_that_of_the_module(clip) -> None:
    trace = ExplicitTower(clip.vision).trace(random_pixels(clip))
    for block, module in zip(trace.blocks, clip.vision.blocks, strict=True):
        normed = block.normed
        _, weights = module.attn(normed, normed, normed, average_attn_weights=False)
        torch.testing.assert_close(block.attention, weights, rtol=1e-10, atol=1e-10)


def test_the_gradient_of_an_attention_weight_is_a_difference_quotient() -> None:
    clip = make_clip()
    pixels = random_pixels(clip)[:1]
    tower = ExplicitTower(clip.vision)
    trace = tower.trace(pixels, differentiable=True)
    goal = torch.randn(10, dtype=torch.float64)
    score = trace.representation[0] @ goal
    (gradient,) = torch.autograd.grad(score, trace.blocks[1].attention)

    def moved(step: float) -> float:
        block = trace.blocks[1]
        attention = block.attention.detach().clone()
        attention[0, 2, 3, 5] += step
        with torch.no_grad():
            between = block.entering + tower.blocks[1].write(attention @ block.qkv[2])
            stream = between + tower.blocks[1].mlp(between)[1]
            stream = tower.run_block(2, stream).leaving
            return float(tower.readout(stream)[0, 0] @ goal)

    quotient = (moved(1e-6) - moved(-1e-6)) / 2e-6
    assert float(gradient[0, 2, 3, 5]) == pytest.approx(quotient, rel=1e-6, abs=1e-9)


def test_the_grid_has_every_patch() -> None:
    tower = ExplicitTower(make_clip(image_size=(24, 40)).vision)
    assert tower.grid == (3, 5)
    assert tower.tower.tokens == 16


@pytest.mark.parametrize(
    "vision",
    [
        {"pool_type": "avg"},
        {"attentional_pool": True, "attn_pooler_heads": 5, "attn_pooler_queries": 4},
    ],
)
def test_other_poolings_are_refused(vision) -> None:
    with pytest.raises(ModelError, match="class token"):
        ExplicitTower(make_clip(**vision).vision)
