import numpy as np
import pytest
import torch
from doubles.towers import (
    batch,
    block_from_attention,
    gradients_by_modules,
    module_steps,
    segmenter_inputs,
    visual_of,
)

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.methods.legrad import LeGrad


def cosine_of(visual, classes, pool):
    def score(image, layer, stream):
        pooled = stream[0].mean(dim=0) if pool == "mean" else stream[0, 0]
        readout = visual.ln_post(pooled) @ visual.proj
        return readout @ classes[image] / readout.norm()

    return score


@pytest.mark.parametrize("pool", ["mean", "class"])
@pytest.mark.parametrize("layers", [None, 1, 2])
def test_positive_gradients_of_each_layers_own_score(pool, layers):
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    visual = visual_of(inputs)
    gradients = gradients_by_modules(visual, pixels, cosine_of(visual, classes, pool))
    expected = np.zeros((3, 9))
    for gradient in gradients[-(layers or 3) :]:
        for image in range(3):
            for patch in range(9):
                heads = gradient[image, :, :, 1 + patch].numpy()
                expected[image, patch] += sum(max(g, 0) for g in heads.ravel()) / heads.size
    found = LeGrad(inputs, pool=pool, layers=layers).patches(pixels, classes).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


def test_the_reference_gradient_by_finite_differences():
    inputs, (pixels, classes) = segmenter_inputs(), batch(1)
    visual = visual_of(inputs)
    score = cosine_of(visual, classes, "mean")
    gradient = gradients_by_modules(visual, pixels, score)[1][0]
    block, step = visual.transformer.resblocks[1], module_steps(visual, pixels)[1]
    for place in [(0, 0, 3), (1, 4, 7), (1, 9, 0)]:
        sides = []
        for shift in (1e-5, -1e-5):
            attention = step.attention[0].clone()
            attention[place] += shift
            with torch.no_grad():
                leaving = block_from_attention(block, step, 0, attention)
                sides.append(score(0, 1, leaving).item())
        assert gradient[place].item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("options", [{"layers": 0}, {"layers": 4}, {"pool": "max"}])
@pytest.mark.usefixtures("shapes_unchecked")
def test_impossible_options(options):
    with pytest.raises(ConfigError, match="must be"):
        LeGrad(segmenter_inputs(), **options)
