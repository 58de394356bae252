import numpy as np
from doubles.relevance import plain_sum, relevance_by_loops
from doubles.towers import batch, segmenter_inputs, visual_of

from advgen.evaluate.segmentation.methods.lrp import Lrp


def embedded(visual, pixels):
    """Patch embeddings by a loop over patches, ``[image, patch, width]``."""
    kernel, (rows, columns) = visual.conv1.weight.detach().numpy(), visual.grid_size
    size = kernel.shape[-1]
    out = np.zeros((len(pixels), rows * columns, len(kernel)))
    for row in range(rows):
        for column in range(columns):
            tile = pixels[:, :, row * size : (row + 1) * size, column * size : (column + 1) * size]
            out[:, row * columns + column] = np.einsum("icyx,wcyx->iw", tile.numpy(), kernel)
    return out


def test_the_patches_by_loops_and_what_stays_behind():
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    visual = visual_of(inputs)
    streams, _ = relevance_by_loops(visual, pixels, classes, plain_sum)
    positions = visual.positional_embedding.detach().numpy()[1:]
    patches, left = plain_sum(embedded(visual, pixels), positions, streams[0][:, 1:])
    found = Lrp(inputs).patches(pixels, classes).numpy()
    expected = patches.sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())
    stays = left.sum(axis=(1, 2)) + streams[0][:, 0].sum(axis=1)
    room = 1e-10 * np.abs(streams[0]).sum()
    np.testing.assert_allclose(found.sum(axis=1) + stays, 1.0, atol=room)


def test_sharing_among_pixels_would_keep_every_patchs_sum():
    """The z^B rule of the source, by loops over the pixels of one patch."""
    rng = np.random.default_rng(0)
    tile, kernel, relevance = rng.normal(size=12), rng.normal(size=(5, 12)), rng.normal(size=5)
    low, high = tile.min() - 0.1, tile.max() + 0.1  # those of the image
    given = np.zeros(12)
    for output, amount in enumerate(relevance):
        weight = kernel[output]
        parts = weight * tile - weight.clip(min=0) * low - weight.clip(max=0) * high
        given += parts / parts.sum() * amount
    np.testing.assert_allclose(given.sum(), relevance.sum(), rtol=1e-12)
