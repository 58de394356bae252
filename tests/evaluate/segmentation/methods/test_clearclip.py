import copy

import pytest
import torch
from doubles.towers import batch, module_steps, segmenter_inputs, visual_of
from torch.testing import assert_close

from advgen.evaluate.segmentation.methods.clearclip import ClearClip

TOWERS = [{}, {"quick_gelu": True, "ls_init_value": 0.5}]


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize(("residual", "mlp"), [(False, False), (True, True), (True, False)])
def test_torch_attention_with_queries_for_keys(tower, residual, mlp):
    inputs, (pixels, classes) = segmenter_inputs(**tower), batch()
    visual = visual_of(inputs)
    block, step = visual.transformer.resblocks[-1], module_steps(visual, pixels)[-1]
    attn = copy.deepcopy(block.attn)
    with torch.no_grad():
        attn.in_proj_weight[16:32] = attn.in_proj_weight[:16]
        attn.in_proj_bias[16:32] = attn.in_proj_bias[:16]
        x = block.ls_1(attn(step.normed, step.normed, step.normed)[0])
        x = step.entering + x if residual else x
        x = x + block.ls_2(block.mlp(block.ln_2(x))) if mlp else x
        features = visual.ln_post(x[:, 1:]) @ visual.proj
    expected = torch.cosine_similarity(features, classes[:, None], dim=-1)
    options = {} if not residual and not mlp else {"residual": residual, "mlp": mlp}
    found = ClearClip(inputs, **options).patches(pixels, classes)
    assert_close(found, expected, rtol=1e-10, atol=1e-12)
