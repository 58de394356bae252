import dataclasses

import pytest
import torch

from advgen.evaluate.concepts.effects import activated, effect_sizes, joined_sizes
from advgen.lens import NeuronDirections, SecondOrderLens


def explicit_effects(clip, layer: int, pixels: torch.Tensor, directions) -> torch.Tensor:
    """phi_n(I) - b_n of every image and neuron, formed one by one in float64."""
    lens = SecondOrderLens(clip, [layer])
    alpha = lens.coefficients(pixels).alpha[layer].double()
    rows = lens.basis.rows(layer, slice(None)).double()
    effects = torch.stack(
        [torch.stack([a @ u for a, u in zip(i, rows, strict=True)]) for i in alpha]
    )
    return effects - directions[layer].bias.double()


def test_sizes_are_those_of_explicit_effects(clip, lens, directions, pixels) -> None:
    new = pixels[16:21]
    found = effect_sizes(lens, directions, new)
    effects = torch.cat([explicit_effects(clip, layer, new, directions) for layer in (3, 4)], dim=1)
    r = torch.cat([directions[layer].direction for layer in (3, 4)]).double()
    scale = float(effects.norm(dim=2).max())
    torch.testing.assert_close(found.norms.double(), effects.norm(dim=2), rtol=0, atol=1e-4 * scale)
    expected = torch.einsum("ine,ne->in", effects, r)
    torch.testing.assert_close(found.projections.double(), expected, rtol=0, atol=1e-4 * scale)
    assert (found.projections.abs() <= found.norms + 1e-4 * scale).all()


def test_both_ways_to_a_norm_agree(lens, directions, pixels) -> None:
    """One image is summed out, many go through the Gram matrix."""
    many = effect_sizes(lens, directions, pixels.repeat(6, 1, 1, 1))
    one = joined_sizes([effect_sizes(lens, directions, image[None]) for image in pixels[:4]])
    scale = float(many.norms.max())
    torch.testing.assert_close(one.norms, many.norms[:4], rtol=0, atol=1e-4 * scale)
    torch.testing.assert_close(one.projections, many.projections[:4], rtol=0, atol=1e-4 * scale)


@pytest.fixture
def hand_made() -> dict[int, NeuronDirections]:
    """Three neurons with the bounds 1, 2 and 3; the last one has no direction."""
    zeros, three = torch.zeros(3, 2), torch.tensor([1.0, 2.0, 3.0])
    direction = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    made = NeuronDirections(
        direction=direction,
        bias=zeros,
        explained_variance=torch.ones(3),
        mean_projection=torch.ones(3),
        top_images=torch.zeros(3, 1, dtype=torch.long),
        top_norms=three[:, None] - 0.5,
        norm_threshold=three - 0.5,
        norm_quantile=three,
    )
    return {7: made}


def test_threshold_rules(hand_made) -> None:
    norms = torch.tensor([[1.0, 2.1, 9.0], [1.1, 1.5, 0.0], [0.4, 0.0, 9.0]])
    above = activated(norms, hand_made, "quantile")
    assert above.tolist() == [[False, True, False], [True, False, False], [False] * 3]
    reached = activated(norms, hand_made, "top")
    assert reached.tolist() == [[True, True, False], [True, True, False], [False] * 3]


@pytest.mark.usefixtures("shapes_unchecked")
def test_an_unknown_threshold_is_refused(hand_made) -> None:
    with pytest.raises(ValueError, match="threshold of quantile, top"):
        activated(torch.ones(1, 3), hand_made, "median")


def test_thresholds_on_the_images_they_come_from(lens, directions, pixels) -> None:
    """Over D itself the largest 4 of 16 effects reach the bound, and 98 % is the largest alone."""
    norms = effect_sizes(lens, directions, pixels[:16]).norms
    eased = {
        layer: dataclasses.replace(
            found,
            norm_threshold=found.norm_threshold * (1 - 1e-4),
            norm_quantile=found.norm_quantile * (1 - 1e-4),
        )
        for layer, found in directions.items()
    }
    assert (activated(norms, eased, "top").sum(dim=0) == 4).float().mean() > 0.99
    assert (activated(norms, eased, "quantile").sum(dim=0) == 1).float().mean() > 0.99
