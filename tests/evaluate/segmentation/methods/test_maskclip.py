import copy

import pytest
import torch
from doubles.towers import batch, module_steps, segmenter_inputs, visual_of
from torch.testing import assert_close

from advgen.evaluate.segmentation.methods.maskclip import MaskClip

TOWERS = [{}, {"quick_gelu": True, "ls_init_value": 0.5}]


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize(("residual", "mlp"), [(True, True), (False, False), (True, False)])
def test_attention_masked_to_the_diagonal(tower, residual, mlp):
    """torch's own attention, which may look at nothing but the token itself."""
    inputs, (pixels, classes) = segmenter_inputs(**tower), batch()
    visual = visual_of(inputs)
    block, step = visual.transformer.resblocks[-1], module_steps(visual, pixels)[-1]
    mask = torch.full((10, 10), -torch.inf, dtype=torch.float64).fill_diagonal_(0)
    y = step.normed
    with torch.no_grad():
        x = block.ls_1(block.attn(y, y, y, attn_mask=mask)[0])
        x = step.entering + x if residual else x
        x = x + block.ls_2(block.mlp(block.ln_2(x))) if mlp else x
        features = visual.ln_post(x[:, 1:]) @ visual.proj
    expected = torch.cosine_similarity(features, classes[:, None], dim=-1)
    found = MaskClip(inputs, residual=residual, mlp=mlp).patches(pixels, classes)
    assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_the_defaults_are_a_tower_whose_last_block_does_not_look_around():
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    tower = copy.deepcopy(visual_of(inputs))
    attn = tower.transformer.resblocks[-1].attn
    with torch.no_grad():
        weight, bias = attn.in_proj_weight[32:], attn.in_proj_bias[32:]
    attn.forward = lambda query, key, value, **_: (attn.out_proj(query @ weight.T + bias), None)
    tower.output_tokens = True
    with torch.no_grad():
        tokens = tower(pixels)[1] @ tower.proj
    expected = torch.cosine_similarity(tokens, classes[:, None], dim=-1)
    assert_close(MaskClip(inputs).patches(pixels, classes), expected, rtol=1e-10, atol=1e-12)
