import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as transforms

from advgen.errors import ModelError
from advgen.evaluate.segmentation.geometry import SIDE, Box, cut, seen_box, squashed

MEAN, STD = (0.48, 0.45, 0.4), (0.26, 0.27, 0.2)


def preprocess(size: int = 224, mode: str = "shortest"):
    config = open_clip.transform.PreprocessCfg(
        size=(size, size), mean=MEAN, std=STD, resize_mode=mode
    )
    return open_clip.transform.image_transform_v2(config, is_train=False)


@pytest.mark.parametrize("side", [60, 224, 336])
@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((128, 128), (0, 0, 128, 128)),
        ((500, 375), (62.5, 0, 437.5, 375)),
        ((375, 500), (0, 62.5, 375, 437.5)),
        ((50, 40), (5, 0, 45, 40)),
        ((2000, 300), (850, 0, 1150, 300)),
    ],
)
def test_the_seen_box_of_resize_and_crop(side: int, size, box) -> None:
    found = seen_box(preprocess(side), size)
    got = (found.left, found.top, found.right, found.bottom)
    assert got == pytest.approx(box, abs=max(0.75, max(size) / 400))
    if size[0] == size[1]:
        assert got == box


def test_a_squashing_model_sees_everything() -> None:
    assert seen_box(preprocess(mode="squash"), (300, 200)) == Box(0.0, 0.0, 300.0, 200.0)


def test_a_model_that_pads_is_refused() -> None:
    with pytest.raises(ModelError, match="protocol reference"):
        seen_box(preprocess(mode="longest"), (300, 100))


def test_a_cut_mask_lies_on_what_the_model_sees() -> None:
    """Against the image's own path: the mask as a white image, resized and cropped."""
    mask = np.zeros((300, 500), dtype=bool)
    mask[60:200, 150:380] = True
    found = cut(mask, seen_box(preprocess(), (500, 300)))
    image = Image.fromarray((255 * mask).astype(np.uint8)).convert("RGB")
    pixels = preprocess()(image)
    seen = (pixels * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None])[0] > 0.5
    assert found.shape == (SIDE, SIDE)
    assert (found != seen.numpy()).mean() < 0.01
    assert (squashed(mask) != seen.numpy()).mean() > 0.05


def test_a_squashed_mask_is_the_nearest_pixel_one() -> None:
    mask = np.random.default_rng(0).random((90, 410)) < 0.4
    image = Image.fromarray(mask.astype(np.uint8))
    nearest = transforms.InterpolationMode.NEAREST
    expected = np.asarray(transforms.resize(image, [SIDE, SIDE], nearest)) > 0
    assert (squashed(mask) == expected).all()


def test_square_images_have_one_mask_under_both_protocols() -> None:
    mask = np.random.default_rng(0).random((128, 128)) < 0.4
    assert (cut(mask, seen_box(preprocess(60), (128, 128))) == squashed(mask)).all()
