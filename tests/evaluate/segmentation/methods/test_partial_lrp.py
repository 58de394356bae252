import numpy as np
from doubles.relevance import plain_sum, relevance_by_loops
from doubles.towers import batch, segmenter_inputs, visual_of

from advgen.evaluate.segmentation.methods.partial_lrp import PartialLrp


def test_heads_positive_parts_are_averaged():
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    _, attentions = relevance_by_loops(visual_of(inputs), pixels, classes, plain_sum)
    expected = np.zeros((3, 9))
    for image in range(3):
        for patch in range(9):
            heads = attentions[-1][image, :, 0, 1 + patch]
            expected[image, patch] = sum(max(value, 0) for value in heads) / len(heads)
    assert (attentions[-1][:, :, 0] < 0).any()
    found = PartialLrp(inputs).patches(pixels, classes).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
