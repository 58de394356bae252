"""The sandbox's CLIP, directions over a few scenes, and a small pool."""

from __future__ import annotations

import pytest
import torch

from advgen.imagesets import load_image_set
from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.models import ClipModel, load_clip
from advgen.text import EncodedPool, TextPool, encode_pool

WORDS = ("dog", "cat", "tree", "snow", "ship", "red", "blue", "forest", "truck", "horse", "moss")
LAYERS = (3, 4)


@pytest.fixture(scope="package")
def clip() -> ClipModel:
    return load_clip("sandbox-a")


@pytest.fixture(scope="package")
def pixels(clip: ClipModel) -> torch.Tensor:
    return torch.stack([clip.preprocess(image) for image in load_image_set("sandbox:24?seed=2")])


@pytest.fixture(scope="package")
def lens(clip: ClipModel) -> SecondOrderLens:
    return SecondOrderLens(clip, LAYERS)


@pytest.fixture(scope="package")
def directions(lens: SecondOrderLens, pixels: torch.Tensor) -> dict[int, NeuronDirections]:
    return lens.directions([pixels[:16]], top_images=4, alpha_dtype=torch.float32)


@pytest.fixture(scope="package")
def encoded(clip: ClipModel) -> EncodedPool:
    return encode_pool(clip, TextPool("words", WORDS))
