"""A small catalogue: the sandbox's CLIP looking at random pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from advgen.config import AttackConfig, attack_config
from advgen.lens import SecondOrderLens
from advgen.models import ClipModel, load_clip
from advgen.neurons import Catalogue
from advgen.text import EncodedPool, TextPool, encode_pool

WORDS = ("dog", "cat", "tree", "snow", "ship", "red", "blue", "forest", "truck", "horse", "moss")


class Pictures:
    """Random pictures by number."""

    name, fingerprint, labels, classes, templates = "pictures", "0" * 64, None, (), ()

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Image.Image:
        coarse = np.random.default_rng(index).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)

    def __iter__(self):
        return (self[index] for index in range(self.count))

    def describe(self, index: int) -> str:
        return f"picture {index}"

    def digest(self, index: int) -> str:
        return str(index)


@pytest.fixture(scope="package")
def clip() -> ClipModel:
    return load_clip("sandbox-a")


@pytest.fixture(scope="package")
def config() -> AttackConfig:
    lens = {"layers": [3, 4], "batch_size": 7, "top_images": 6}
    return attack_config({"pairs": ["dog:deer"], "lens": lens, "text": {"nonzeros": 5}})


@pytest.fixture(scope="package")
def pixels(clip) -> torch.Tensor:
    return torch.stack([clip.preprocess(image) for image in Pictures(20)])


@pytest.fixture(scope="package")
def catalogue(clip, config, pixels) -> Catalogue:
    lens = SecondOrderLens(clip, config.lens.layers)
    directions = lens.directions([pixels], top_images=6, alpha_dtype=torch.float32)
    return Catalogue(config, clip, Pictures(20), directions)


@pytest.fixture(scope="package")
def encoded(clip) -> EncodedPool:
    return encode_pool(clip, TextPool("words", WORDS))


@pytest.fixture(scope="session")
def make_pictures() -> Callable[[int], Pictures]:
    return Pictures


class Listener:
    """Counts steps."""

    def __init__(self) -> None:
        self.steps = 0

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        self.steps = done

    def advance(self, steps: int = 1) -> None:
        self.steps += steps

    def note(self, message: str) -> None:
        raise AssertionError(message)


@pytest.fixture
def listener() -> Listener:
    return Listener()
