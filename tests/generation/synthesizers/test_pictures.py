import numpy as np
import pytest
import torch
from PIL import Image

from advgen.errors import ModelError
from advgen.generation.protocols import DrawRequest
from advgen.generation.synthesizers.pictures import Checked, checked, generators, sized, to_image
from advgen.seeds import derive_seed

GREY = np.full((4, 4, 3), 0.5, dtype=np.float32)


def with_one(value: float) -> np.ndarray:
    pixels = GREY.copy()
    pixels[1, 2, 0] = value
    return pixels


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (Checked(GREY), None),
        (Checked(with_one(float("nan"))), "broken"),
        (Checked(with_one(float("inf"))), "broken"),
        (Checked(GREY, flagged=True), "flagged"),
        (Checked(GREY, watermarked=True), "watermark"),
        (Checked(GREY * 0, flagged=True, watermarked=True), "flagged"),
        (Checked(GREY * 0), "black"),
        (Checked(GREY * 0 + 2 / 255), "black"),
        (Checked(GREY * 0 + 3 / 255), None),
    ],
)
def test_why_an_image_must_not_be_used(found: Checked, fault: str | None) -> None:
    assert found.fault == fault


@pytest.mark.parametrize(
    ("flagged", "marked"), [(None, [False]), ([False], None), ([], [False]), ([False] * 2, [False])]
)
def test_every_image_needs_a_verdict(flagged: list[bool], marked: list[bool]) -> None:
    with pytest.raises(ModelError, match="the checker gave no verdict"):
        checked(GREY[None], flagged, marked, "the checker")


def test_verdicts_stay_with_their_images() -> None:
    images = checked(np.stack([GREY, GREY * 0.5]), [False, True], [True, False], "the checker")
    assert [(image.flagged, image.watermarked) for image in images] == [
        (False, True),
        (True, False),
    ]
    assert images[1].pixels.max() == 0.25


def test_noise_depends_on_the_image_and_the_stage_only() -> None:
    requests = [DrawRequest("a", "dog", seed, 8) for seed in (3, 4, 3)]
    first = [torch.randn(5, generator=noise) for noise in generators(requests, 1)]
    second = [torch.randn(5, generator=noise) for noise in generators(requests, 2)]
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])
    wanted = torch.Generator().manual_seed(derive_seed(4, "stage", 1))
    assert torch.equal(first[1], torch.randn(5, generator=wanted))


def test_numbers_become_bytes() -> None:
    image = to_image(np.array([[[0.0, 0.5, 1.0], [float("nan"), -1.0, 2.0]]]))
    assert np.asarray(image).tolist() == [[[0, 128, 255], [0, 0, 255]]]


def test_only_another_size_is_resized() -> None:
    image = Image.effect_noise((8, 8), 50).convert("RGB")
    same, details = sized(image, 8)
    assert same is image
    assert details == {"drawn_size": [8, 8]}
    other, details = sized(image, 4)
    assert other.tobytes() == image.resize((4, 4), Image.Resampling.LANCZOS).tobytes()
    assert details == {"drawn_size": [8, 8], "resized": "lanczos"}
