"""Pixels of transformers' image processors against Pillow, and against the processors alone."""

import numpy as np
import pytest
import torch
from doubles.hf_models import photo
from PIL import Image

from advgen.models import load_clip

transformers = pytest.importorskip("transformers")

SIZES = [(57, 41), (30, 30), (30, 45), (90, 45), (1, 1), (3, 200), (31, 30), (640, 427), (7, 29)]


@pytest.mark.parametrize("width", [57, 30, 90])
def test_pixels_are_those_of_pillow(clip_folder, width):
    image = photo(width, 45)
    scale = 30 / min(image.size)
    size = (int(width * scale + 1e-9), int(45 * scale + 1e-9))
    left, top = (size[0] - 30) // 2, (size[1] - 30) // 2
    resized = image.resize(size, Image.Resampling.BICUBIC)
    array = np.asarray(resized.crop((left, top, left + 30, top + 30)), dtype=np.float64) / 255
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = load_clip(str(clip_folder)).preprocess(image)
    assert pixels.dtype == torch.float32
    np.testing.assert_allclose(pixels.numpy(), ((array - mean) / std).transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_siglip_squeezes_as_pillow_does(siglip2_folder, size):
    image = photo(*size)
    resized = image.resize((32, 32), Image.Resampling.BICUBIC)
    expected = (np.asarray(resized, dtype=np.float64) / 255 - 0.5) / 0.5
    pixels = load_clip(str(siglip2_folder)).preprocess(image)
    np.testing.assert_allclose(pixels.numpy(), expected.transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_size_and_mode_as_the_processor_alone(clip_folder, siglip2_folder, mode):
    """To the last bit, and whatever the image is the tower's size comes out."""
    for folder, side in ((clip_folder, 30), (siglip2_folder, 32)):
        clip = load_clip(str(folder))
        alone = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        for size in SIZES:
            image = photo(*size).convert(mode)
            found = clip.preprocess(image)
            assert found.shape == (3, side, side)
            assert torch.equal(found, alone(images=image, return_tensors="pt")["pixel_values"][0])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_images_of_other_modes(siglip_folder, mode):
    clip = load_clip(str(siglip_folder))
    image = photo().convert(mode)
    torch.testing.assert_close(clip.preprocess(image), clip.preprocess(image.convert("RGB")))
