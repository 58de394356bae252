import numpy as np
from doubles.towers import batch, module_steps, segmenter_inputs, visual_of

from advgen.evaluate.segmentation.methods.raw_attention import RawAttention


def test_the_class_row_of_the_last_attention_in_rows_and_columns():
    inputs, (pixels, classes) = segmenter_inputs(image_size=(16, 32)), batch(3, 16, 32)
    attention = module_steps(visual_of(inputs), pixels)[-1].attention.numpy()
    expected = np.zeros((3, 2, 4))
    for image in range(3):
        for row in range(2):
            for column in range(4):
                for head in range(2):
                    seen = attention[image, head, 0, 1 + 4 * row + column]
                    expected[image, row, column] += seen / 2
    found = RawAttention(inputs).heatmaps(pixels, classes).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
