import numpy as np
import pytest
import torch
from doubles.towers import batch, module_steps, segmenter_inputs, visual_of
from scipy.special import softmax

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.methods.gem import Gem

TOWERS = [{}, {"quick_gelu": True, "ls_init_value": 0.5}]
OPTIONS = [
    {},
    {"blocks": 3},
    {"blocks": 2, "iterations": 3},
    {"blocks": 2, "iterations": 0},
    {"inverse_temperature": 2.5},
]


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("options", OPTIONS)
def test_head_by_head(tower, options):
    inputs, (pixels, classes) = segmenter_inputs(**tower), batch(2)
    visual, steps = visual_of(inputs), module_steps(visual_of(inputs), pixels)
    found = Gem(inputs, **options).patches(pixels, classes).numpy()
    first = 3 - options.get("blocks", 1)
    for image in range(2):
        stream = steps[first].entering[image]
        for layer in range(first, 3):
            block = visual.transformer.resblocks[layer]
            mixed = _gathered(block.attn, steps[layer].normed[image].numpy(), options)
            with torch.no_grad():
                stream = stream + block.ls_1(block.attn.out_proj(torch.from_numpy(mixed)))
        with torch.no_grad():
            features = (visual.ln_post(stream) @ visual.proj)[1:].numpy()
        expected = features @ classes[image].numpy() / np.linalg.norm(features, axis=1)
        np.testing.assert_allclose(found[image], expected, rtol=1e-9, atol=1e-11)


def _gathered(attn, tokens, options):
    weight, bias = attn.in_proj_weight.detach().numpy(), attn.in_proj_bias.detach().numpy()
    width = tokens.shape[1]
    size = width // attn.num_heads
    inverse = options.get("inverse_temperature")
    if inverse is None:
        inverse = np.mean([np.sqrt(token @ token) for token in tokens]) / np.sqrt(size)
    qkv = [tokens @ weight[k * width :][:width].T + bias[k * width :][:width] for k in range(3)]
    mixed = np.zeros_like(tokens)
    for head in range(attn.num_heads):
        part = slice(head * size, (head + 1) * size)
        for x in qkv:
            y = _unit(x[:, part])
            for _ in range(options.get("iterations", 1)):
                y = _unit(softmax(inverse * y @ y.T, axis=1) @ y)
            mixed[:, part] += softmax(inverse * y @ y.T, axis=1) @ qkv[2][:, part] / 3
    return mixed


def _unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize(("layers", "blocks"), [(1, 1), (3, 1), (4, 2), (12, 6), (14, 6)])
def test_how_many_blocks(layers, blocks):
    inputs, (pixels, classes) = segmenter_inputs(layers=layers), batch(1)
    found = Gem(inputs).patches(pixels, classes)
    assert torch.equal(found, Gem(inputs, blocks=blocks).patches(pixels, classes))


@pytest.mark.parametrize("options", [{"blocks": 0}, {"blocks": 4}, {"iterations": -1}])
def test_options_out_of_range(options):
    with pytest.raises(ConfigError, match="must be"):
        Gem(segmenter_inputs(), **options)
