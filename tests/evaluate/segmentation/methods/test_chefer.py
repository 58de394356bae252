import numpy as np
import pytest
from doubles.relevance import normalized_sum, relevance_by_loops
from doubles.towers import SCALE, batch, logit_gradients, segmenter_inputs, visual_of

from advgen.evaluate.segmentation.methods.chefer import Chefer


@pytest.mark.parametrize(
    ("options", "start", "scale"),
    [({}, 1, SCALE), ({"start_layer": 0}, 0, SCALE), ({"scale": 3.0, "start_layer": 2}, 2, 3.0)],
)
def test_gradient_times_relevance_rolled_out(options, start, scale):
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    visual = visual_of(inputs)
    gradients = logit_gradients(visual, pixels, classes, scale)
    _, relevances = relevance_by_loops(visual, pixels, classes, normalized_sum)
    expected = np.zeros((3, 9))
    for image in range(3):
        product = np.eye(10)
        for layer in range(start, 3):
            flow = np.zeros((10, 10))
            for head in range(2):
                gradient = gradients[layer][image, head].numpy()
                flow += np.maximum(gradient * relevances[layer][image, head], 0) / 2
            product = (flow + np.eye(10)) @ product
        expected[image] = product[0, 1:]
    found = Chefer(inputs, **options).patches(pixels, classes).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10 * expected.max())
