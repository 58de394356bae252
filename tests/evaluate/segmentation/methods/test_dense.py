"""What all methods of a patch's own similarity share, and the two that take any pooling."""

from typing import Any

import pytest
import torch
from doubles.neurons import inputs_with_neurons
from doubles.towers import batch, small_clip
from torch.testing import assert_close

from advgen.errors import ConfigError, ModelError
from advgen.evaluate.segmentation import Segmenter, open_segmenter
from advgen.evaluate.segmentation.methods.dense import patch_grid
from advgen.models import OpenClipModel, encode_classes

TOKEN = ("maskclip", "sclip", "clearclip", "gem")
METHODS = (*TOKEN, "textspan", "second-order")
OTHERS = ("cat", "a dog", "deer")


@pytest.mark.parametrize("name", METHODS)
def test_maps_of_a_batch_are_those_of_its_images(name):
    method = open_segmenter(name, inputs_with_neurons(image_size=(16, 32)))
    pixels, classes = batch(3, 16, 32)
    classes[2] = classes[0]
    maps = method.heatmaps(pixels, classes)
    assert isinstance(method, Segmenter)
    assert (maps.shape, maps.dtype, maps.device.type) == ((3, 2, 4), torch.float32, "cpu")
    assert maps.isfinite().all() and maps.std(dim=(1, 2)).max() > 0
    assert not maps.requires_grad
    alone = [method.heatmaps(pixels[i : i + 1], classes[i : i + 1])[0] for i in range(3)]
    assert_close(torch.stack(alone), maps, rtol=1e-6, atol=1e-7)
    assert torch.equal(method.heatmaps(pixels, classes), maps)


@pytest.mark.parametrize("name", METHODS)
def test_float32_gives_what_float64_gives(name):
    pixels, classes = batch()
    wide = open_segmenter(name, inputs_with_neurons()).heatmaps(pixels, classes)
    clip = small_clip()
    clip.model.float()
    method = open_segmenter(name, inputs_with_neurons(clip))
    maps = method.heatmaps(pixels.float(), classes.float())
    assert_close(maps, wide, rtol=1e-3, atol=1e-3 * wide.abs().max().item())


@pytest.mark.parametrize("name", METHODS)
def test_a_tower_without_a_class_token(name):
    inputs = inputs_with_neurons(pool_type="avg")
    if name in TOKEN:
        with pytest.raises(ModelError, match="class token"):
            open_segmenter(name, inputs)
    else:
        maps = open_segmenter(name, inputs).heatmaps(*batch())
        assert maps.shape == (3, 3, 3) and maps.isfinite().all()


@pytest.mark.parametrize("name", ("textspan", "second-order"))
def test_an_attention_pool(name):
    pool = {"attentional_pool": True, "attn_pooler_heads": 3, "attn_pooler_queries": 4}
    inputs = inputs_with_neurons(**pool, output_tokens=True)
    options = {"maps": "effect"} if name == "second-order" else {}
    maps = open_segmenter(name, inputs, **options).heatmaps(*batch())
    assert maps.shape == (3, 3, 3) and maps.isfinite().all()


@pytest.mark.parametrize("name", (*TOKEN, "textspan"))
def test_contrast_takes_the_mean_of_the_others_off(name):
    clip = OpenClipModel(small_clip().model, tokenizer=_letters)
    inputs, (pixels, classes) = inputs_with_neurons(clip), batch()
    plain: Any = open_segmenter(name, inputs)
    others = encode_classes(clip, OTHERS)
    expected = plain.patches(pixels, classes) - torch.stack(
        [plain.patches(pixels, other.expand(3, -1)) for other in others]
    ).mean(dim=0)
    method: Any = open_segmenter(name, inputs, contrast=OTHERS)
    found = method.patches(pixels, classes)
    assert_close(found, expected, rtol=1e-9, atol=1e-10)
    assert not torch.allclose(found, plain.patches(pixels, classes), atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_option(name):
    with pytest.raises(ConfigError, match=name):
        open_segmenter(name, inputs_with_neurons(), sharpness=2)


@pytest.mark.parametrize(
    ("patches", "height", "width", "grid"),
    [(49, 224, 224, (7, 7)), (25, 60, 60, (5, 5)), (8, 16, 32, (2, 4)), (84, 224, 100, (14, 6))],
)
def test_the_grid_of_patches(patches, height, width, grid):
    assert patch_grid(patches, height, width) == grid


@pytest.mark.parametrize(("patches", "height", "width"), [(48, 224, 224), (50, 224, 224)])
def test_tokens_that_are_no_grid(patches, height, width):
    with pytest.raises(ModelError, match="do not tile"):
        patch_grid(patches, height, width)


def _letters(texts, context_length=8):
    rows = [[ord(letter) % 60 + 1 for letter in text[-6:]] for text in texts]
    return torch.tensor([[62, *row, *[0] * (6 - len(row)), 63] for row in rows])
