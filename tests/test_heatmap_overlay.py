"""Heat maps as pictures: colours, what the model sees of an image, rows with a legend."""

import numpy as np
import pytest
import torch
from PIL import Image

from advgen.heatmap_overlay import (
    TARGET_RGB,
    TRUE_RGB,
    legend_lines,
    overlay,
    seen_image,
    side_by_side,
)
from advgen.models import load_clip
from advgen.plots import TARGET_COLOR, TRUE_COLOR


def test_warm_is_the_target_class_and_cold_the_true_one() -> None:
    grey = Image.new("RGB", (40, 40), (128, 128, 128))
    heat = torch.zeros(4, 4)
    heat[0, 0], heat[3, 3] = 2.0, -2.0
    shown = np.asarray(overlay(grey, heat)).astype(float)

    def distance(pixel: np.ndarray, colour: tuple[int, int, int]) -> float:
        return float(np.abs(pixel - np.array(colour)).sum())

    assert distance(shown[1, 1], TARGET_RGB) < distance(shown[20, 20], TARGET_RGB)
    assert distance(shown[38, 38], TRUE_RGB) < distance(shown[20, 20], TRUE_RGB)
    assert (shown[20, 20] == 128).all()
    assert (np.asarray(overlay(grey, torch.zeros(4, 4))) == 128).all()


def test_the_colours_are_those_of_the_plots() -> None:
    for rgb, text in ((TARGET_RGB, TARGET_COLOR), (TRUE_RGB, TRUE_COLOR)):
        assert "#" + bytes(rgb).hex() == text


@pytest.fixture(scope="module")
def clip():
    return load_clip("sandbox-a")


def test_a_square_image_is_seen_whole(clip) -> None:
    image = Image.effect_noise((50, 50), 60).convert("RGB")
    assert seen_image(clip, image).tobytes() == image.tobytes()


@pytest.mark.parametrize("size", [(180, 60), (60, 180)])
def test_of_other_images_the_model_s_own_input_is_shown(clip, size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    seen = seen_image(clip, image)
    assert seen.size == clip.image_size
    difference = clip.preprocess(seen) - clip.preprocess(image)
    assert float(difference.abs().max()) < 0.03
    left, top = (size[0] - 60) // 2, (size[1] - 60) // 2
    middle = image.crop((left, top, left + 60, top + 60))
    apart = np.abs(np.asarray(seen).astype(int) - np.asarray(middle))
    assert apart.max() <= 1


def test_pictures_in_a_row_with_words_below() -> None:
    red, blue = Image.new("RGB", (10, 10), "red"), Image.new("L", (300, 300), 0)
    sheet = side_by_side([("one", red), ("two " * 40, blue)], legend_lines("dog", "deer"), side=100)
    pixels = np.asarray(sheet)
    assert sheet.size == (2 * 16 + 2 * 100 + 14, 16 + 24 + 100 + 16 + 2 * 20 + 8)
    assert (pixels[60, 60] == (255, 0, 0)).all()
    assert (pixels[60, 180] == 0).all()
    below = pixels[16 + 24 + 100 :]
    assert (below < 160).any() and not (below[:, -16:] < 160).any()
    assert "deer" in legend_lines("dog", "deer")[0].split(";")[0]
