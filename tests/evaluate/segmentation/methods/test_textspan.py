import pytest
import torch
from doubles.towers import batch, module_steps, segmenter_inputs, visual_of
from torch.testing import assert_close

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.methods import textspan
from advgen.evaluate.segmentation.methods.textspan import TextSpan
from advgen.lens import head_effects

POOLS = [
    {},
    {"pool_type": "avg"},
    {"pool_type": "avg", "final_ln_after_pool": True},
    {
        "attentional_pool": True,
        "attn_pooler_heads": 3,
        "attn_pooler_queries": 4,
        "output_tokens": True,
    },
]


@pytest.mark.parametrize("tower", [{}, {"quick_gelu": True, "ls_init_value": 0.5}])
@pytest.mark.parametrize("layers", [None, (2,), (1, 0)])
def test_head_by_head_and_token_by_token(tower, layers):
    inputs, (pixels, classes) = segmenter_inputs(**tower), batch(2)
    visual, steps = visual_of(inputs), module_steps(visual_of(inputs), pixels)
    found = TextSpan(inputs, layers=layers).patches(pixels, classes)
    for image in range(2):
        expected = torch.zeros(10, dtype=torch.float64)
        final = steps[-1].leaving[image, 0]
        sigma = (final.var(correction=0) + visual.ln_post.eps).sqrt()
        for layer in range(3) if layers is None else layers:
            block, step = visual.transformer.resblocks[layer], steps[layer]
            for head in range(2):
                for token in range(10):
                    write = _write(block, head, step.normed[image, token])
                    effect = step.attention[image, head, 0, token] * write
                    with torch.no_grad():
                        effect = (visual.ln_post.weight * effect / sigma) @ visual.proj
                    expected[token] += effect @ classes[image]
        assert_close(found[image], expected[1:], rtol=1e-10, atol=1e-12)


@torch.no_grad()
def _write(block, head, normed):
    attn, part = block.attn, slice(8 * head, 8 * head + 8)
    value = attn.in_proj_weight[32:][part] @ normed + attn.in_proj_bias[32:][part]
    return block.ls_1(attn.out_proj.weight[:, part] @ value)


@pytest.mark.parametrize("tower", POOLS)
def test_any_pooling_against_the_lens(tower, monkeypatch):
    inputs, (pixels, classes) = segmenter_inputs(**tower), batch()
    effects = sum(head_effects(inputs.clip, pixels, layer) for layer in range(3))
    expected = torch.einsum("ihte,ie->it", effects, classes)[:, 1:]
    method = TextSpan(inputs)
    assert_close(method.patches(pixels, classes), expected, rtol=1e-9, atol=1e-11)
    monkeypatch.setattr(textspan, "_STATE_BYTES", 1)
    assert_close(method.patches(pixels, classes), expected, rtol=1e-9, atol=1e-11)


def test_rectify():
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    plain = TextSpan(inputs).patches(pixels, classes)
    assert (plain < 0).any()
    assert torch.equal(TextSpan(inputs, rectify=True).patches(pixels, classes), plain.clamp(min=0))


@pytest.mark.parametrize("layers", [(), (3,), (-1, 0)])
def test_layers_that_are_not_there(layers):
    with pytest.raises(ConfigError, match="from 0 to 2"):
        TextSpan(segmenter_inputs(), layers=layers)
