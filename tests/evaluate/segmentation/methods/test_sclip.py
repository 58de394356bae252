import pytest
import torch
from doubles.towers import batch, module_steps, segmenter_inputs, visual_of
from torch.testing import assert_close

from advgen.evaluate.segmentation.methods.sclip import Sclip

TOWERS = [{}, {"quick_gelu": True, "ls_init_value": 0.5}]


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize(("residual", "mlp"), [(True, True), (False, False)])
def test_token_by_token(tower, residual, mlp):
    inputs, (pixels, classes) = segmenter_inputs(**tower), batch(2)
    visual = visual_of(inputs)
    block, step = visual.transformer.resblocks[-1], module_steps(visual, pixels)[-1]
    found = Sclip(inputs, residual=residual, mlp=mlp).patches(pixels, classes)
    for image in range(2):
        with torch.no_grad():
            x = block.ls_1(_correlative(block.attn, step.normed[image]))
            x = step.entering[image] + x if residual else x
            x = x + block.ls_2(block.mlp(block.ln_2(x))) if mlp else x
            features = visual.ln_post(x[1:]) @ visual.proj
        expected = torch.cosine_similarity(features, classes[image], dim=-1)
        assert_close(found[image], expected, rtol=1e-10, atol=1e-12)


def _correlative(attn, tokens):
    """Softmax over q_i q_j plus softmax over k_i k_j, head by head and token by token."""
    width, heads = tokens.shape[1], attn.num_heads
    size = width // heads
    query, key, value = torch.nn.functional.linear(
        tokens, attn.in_proj_weight, attn.in_proj_bias
    ).split(width, dim=1)
    out = torch.zeros_like(tokens)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(tokens)):
            for x in (query, key):
                scores = torch.stack([x[i, part] @ other[part] for other in x]) / size**0.5
                rates = scores.exp() / scores.exp().sum()
                out[i, part] += sum(
                    rate * other[part] for rate, other in zip(rates, value, strict=True)
                )
    return attn.out_proj(out)
