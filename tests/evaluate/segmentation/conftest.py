"""What the segmentation tests share: a few drawn masks, a method that needs no model."""

import numpy as np
import pytest
import torch
from PIL import Image

from advgen.errors import DataError
from advgen.evaluate.segmentation.masksets import MaskedImage


class FewMasks:
    """Images 40 wide and 20 high with a block in the middle; number 1 cannot be read."""

    name = "few"
    fingerprint = "f"
    classes = ("dog", "cat")
    templates = ()

    def __init__(self, names=("dog", "cat", "cat", None), size=(40, 20)) -> None:
        self.names, self.size, self.read = names, size, []

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> MaskedImage:
        self.read.append(index)
        if index == 1:
            raise DataError("broken")
        width, height = self.size
        mask = np.zeros((height, width), dtype=bool)
        mask[height // 4 : -height // 4, width // 3 : width // 2 + index] = True
        shade = np.where(mask[..., None], [200, 40, 40], [30, 90, 160]).astype(np.uint8)
        return MaskedImage(Image.fromarray(shade), mask, self.names[index])

    def describe(self, index: int) -> str:
        return f"few {index}"


class Redness:
    """Mean of a patch's red: the mask's colour, seen through the preprocessing."""

    def __init__(self, sign: float = 1.0) -> None:
        self.sign, self.batches, self.classes = sign, [], []

    def heatmaps(self, pixels, classes):
        self.batches.append(len(pixels))
        self.classes.append(classes)
        return self.sign * torch.nn.functional.avg_pool2d(pixels[:, 0], 4)


@pytest.fixture
def few_masks() -> type[FewMasks]:
    return FewMasks


@pytest.fixture
def redness() -> type[Redness]:
    return Redness
