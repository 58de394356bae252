from collections.abc import Callable

import pytest
import torch

from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.mining import mean_sizes
from advgen.models import ClipModel, load_clip
from advgen.sandbox.images import SandboxImages

LAYERS = (3, 4)


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip("sandbox-a")


@pytest.fixture(scope="module")
def pixels(clip: ClipModel) -> Callable[[int], torch.Tensor]:
    def draw(seed: int) -> torch.Tensor:
        return torch.stack([clip.preprocess(image) for image in SandboxImages(5, seed=seed)])

    return draw


def test_sizes_are_mean_absolute_coordinates_of_the_effects(clip, pixels) -> None:
    """Oracle: the effects themselves."""
    lens = SecondOrderLens(clip, LAYERS)
    directions: dict[int, NeuronDirections] = lens.directions([pixels(0)])
    images = pixels(1)
    sizes = mean_sizes(lens, directions, images.split(2))
    assert set(sizes) == set(LAYERS)
    for layer in LAYERS:
        few = slice(7, 31)
        found = directions[layer]
        effects = lens.effects(images, layer, few).double()
        moved = effects - found.bias[few].double()
        coordinate = (moved * found.direction[few].double()).sum(dim=2)
        expected = coordinate.abs().mean(dim=0).float()
        torch.testing.assert_close(sizes[layer][few], expected, atol=2e-5, rtol=1e-3)
    assert float(sizes[4].max()) > 0


def test_no_image_is_refused(clip, pixels) -> None:
    lens = SecondOrderLens(clip, (4,))
    directions = lens.directions([pixels(0)])
    with pytest.raises(ValueError, match="at least one image"):
        mean_sizes(lens, directions, [])
