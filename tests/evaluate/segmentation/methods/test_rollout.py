import numpy as np
import pytest
import torch
from doubles.towers import batch, module_steps, segmenter_inputs, visual_of

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.methods.attribution import class_rollout
from advgen.evaluate.segmentation.methods.rollout import Rollout


@pytest.mark.parametrize("start", [0, 1, 2])
def test_the_class_row_of_the_product(start):
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    steps = module_steps(visual_of(inputs), pixels)
    found = Rollout(inputs, start_layer=start).patches(pixels, classes).numpy()
    for image in range(3):
        product = np.eye(10)
        for step in steps[start:]:
            product = (step.attention[image].numpy().mean(axis=0) + np.eye(10)) / 2 @ product
        np.testing.assert_allclose(product.sum(axis=1), 1.0)
        np.testing.assert_allclose(found[image], product[0, 1:], rtol=1e-10)


@pytest.mark.parametrize("layers", [1, 3, 6])
def test_closed_forms(layers):
    tokens = 5
    uniform = torch.full((2, tokens, tokens), 1 / tokens, dtype=torch.float64)
    found = class_rollout([uniform] * layers, normalize=True)
    # ((1 + J) / 2)^L = 2^-L + (1 - 2^-L) J with J = 11'/n, which is its own square
    assert found.numpy() == pytest.approx((1 - 2.0**-layers) / tokens, rel=1e-12)
    unchanged = torch.eye(tokens, dtype=torch.float64).expand(2, -1, -1)
    assert not class_rollout([unchanged] * layers, normalize=True).any()
    # without division (1 + J)^L = 1 + (2^L - 1) J
    found = class_rollout([uniform] * layers, normalize=False)
    assert found.numpy() == pytest.approx((2.0**layers - 1) / tokens, rel=1e-12)


def test_layers_are_multiplied_in_order():
    """The class token looks at patch 1 in the last layer, which looked at patch 2 in the first."""
    first, last = torch.eye(4)[None].clone(), torch.eye(4)[None].clone()
    first[0, 1], last[0, 0] = torch.eye(4)[2], torch.eye(4)[1]
    assert class_rollout([first, last], normalize=True).tolist() == [[0.25, 0.25, 0.0]]
    assert class_rollout([last, first], normalize=True).tolist() == [[0.5, 0.0, 0.0]]


def test_a_tower_that_looks_everywhere_alike():
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    for block in visual_of(inputs).transformer.resblocks:
        torch.nn.init.zeros_(block.attn.in_proj_weight[:16])
        torch.nn.init.zeros_(block.attn.in_proj_bias[:16])
    found = Rollout(inputs).patches(pixels, classes).numpy()
    assert found == pytest.approx((1 - 2.0**-2) / 10, rel=1e-12)


@pytest.mark.parametrize("start", [-1, 3])
def test_a_layer_that_is_not_there(start):
    with pytest.raises(ConfigError, match=r"start_layer must be in 0\.\.2"):
        Rollout(segmenter_inputs(), start_layer=start)
