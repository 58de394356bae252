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
    peak_of,
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


SEEN_AS = {
    "full colour vision": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Linear RGB as people without one kind of cone see it: Machado et al. 2009, severity 1."""


def lab(rgb: np.ndarray, seen_as: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of an 8-bit sRGB colour."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750]]
    to_xyz.append([0.0193339, 0.1191920, 0.9503041])
    xyz = np.array(to_xyz) @ np.array(seen_as) @ linear / [0.95047, 1.0, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen_as", SEEN_AS.values(), ids=SEEN_AS)
@pytest.mark.parametrize("shade", [0, 64, 128, 192, 255])
def test_the_colours_differ_for_colour_blind_people(shade: int, seen_as: np.ndarray) -> None:
    heat = torch.tensor([[1.0, 0.0, -1.0]] * 3)
    shown = np.asarray(overlay(Image.new("RGB", (90, 90), (shade,) * 3), heat)).astype(float)
    target, neither, true = (lab(shown[45, column], seen_as) for column in (2, 45, 87))
    assert np.linalg.norm(target - true) > 40
    assert min(np.linalg.norm(target - neither), np.linalg.norm(true - neither)) > 12


def test_the_peak_is_the_strongest_patch_of_either_sign() -> None:
    assert peak_of(torch.tensor([[0.1, -0.5], [0.25, 0.0]])) == 0.5
    assert peak_of(torch.zeros(2, 2)) == 0.0


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
    first, second = legend_lines("dog", "deer")
    assert "deer" in first.split(";")[0] and "cos(deer) - cos(dog)" in second
