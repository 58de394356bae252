import numpy as np
import pytest
from doubles.towers import batch, logit_gradients, module_steps, segmenter_inputs, visual_of

from advgen.evaluate.segmentation.methods.gradcam import GradCam


@pytest.mark.parametrize("vision", [{}, {"quick_gelu": True, "ls_init_value": 0.5}])
def test_heads_are_weighted_by_their_mean_gradient(vision):
    inputs, (pixels, classes) = segmenter_inputs(**vision), batch()
    visual = visual_of(inputs)
    gradient = logit_gradients(visual, pixels, classes, 1.0)[-1].numpy()
    attention = module_steps(visual, pixels)[-1].attention.numpy()
    expected = np.zeros((3, 9))
    for image in range(3):
        for head in range(2):
            weight = sum(gradient[image, head, 0, 1 + patch] for patch in range(9)) / 9
            expected[image] += weight * attention[image, head, 0, 1:] / 2
    assert (expected > 0).any() and (expected < 0).any()
    found = GradCam(inputs).patches(pixels, classes).numpy()
    np.testing.assert_allclose(found, expected.clip(min=0), rtol=1e-9, atol=1e-13)
