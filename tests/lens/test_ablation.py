import pytest
import torch

from advgen.lens import (
    SecondOrderLens,
    ablated_representations,
    classification_accuracy,
    layer_sums,
    projections,
)


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_ablation_subtracts_the_centred_effects(clip, many_pixels, treatment):
    lens = SecondOrderLens(clip, [2, 0], treatment=treatment)
    collected = lens.collect(many_pixels.split(8), alpha_dtype=torch.float64)
    expected = clip.encode_image(many_pixels, normalize=False)
    for layer in (0, 2):
        total = lens.effects(many_pixels, layer).sum(dim=1)
        expected = expected - (total - total.mean(dim=0))
    assert torch.allclose(ablated_representations(lens, collected), expected, rtol=1e-9)
    one = ablated_representations(lens, collected, [2])
    assert torch.allclose(one.mean(0), collected.representation.mean(0))
    assert not torch.allclose(one, expected)


def test_ablating_a_layer_that_was_not_collected(plain_clip, pixels):
    lens = SecondOrderLens(plain_clip, [0])
    with pytest.raises(ValueError, match="must be among"):
        ablated_representations(lens, lens.collect([pixels]), [1])


def test_accuracy_counts_the_most_similar_class():
    classifier = torch.eye(3)
    representation = torch.tensor([[9.0, 1, 0], [0, 1, 5], [0, 2, 1], [3, 0, 1]])
    labels = torch.tensor([0, 1, 1, 0])
    assert classification_accuracy(representation, classifier, labels) == 0.75


def explicit_sums(clip, pixels, layer, directions, vectors, share):
    """The sums of `layer_sums` from explicit effects, neuron by neuron."""
    effects = SecondOrderLens(clip, [layer]).effects(pixels, layer)
    total = {name: torch.zeros_like(effects[:, 0]) for name in (*SUMS, "rebuilt", "kept")}
    large_effects = 0
    for neuron in range(effects.shape[1]):
        centred = effects[:, neuron] - directions.bias[neuron]
        norms = centred.norm(dim=1)
        large = norms >= directions.norm_threshold[neuron]
        coordinate = centred @ directions.direction[neuron]
        order = norms.argsort(descending=True)[: round(share * len(norms))]
        total["every"] += centred
        total["large"][large] += centred[large]
        total["component"] += coordinate[:, None] * directions.direction[neuron]
        total["rebuilt"] += coordinate[:, None] * vectors[neuron]
        total["kept"][order] += centred[order]
        large_effects += int(large.sum())
    return total, large_effects / effects[:, :, 0].numel()


SUMS = ("every", "large", "component")


def test_sums_equal_explicit_effects(clip, many_pixels):
    lens = SecondOrderLens(clip, [1])
    directions = lens.directions([many_pixels[:30]], top_images=5, alpha_dtype=torch.float64)[1]
    table = lens.collect(many_pixels[20:].split(4), alpha_dtype=torch.float64).tables[1]
    vectors = torch.randn(len(directions), 10, dtype=torch.float64)
    found = layer_sums(table, lens.basis, 1, directions, vectors={"words": vectors}, shares=(0.25,))
    expected, share = explicit_sums(clip, many_pixels[20:], 1, directions, vectors, 0.25)
    for name in SUMS:
        assert torch.allclose(getattr(found, name).double(), expected[name], rtol=1e-4, atol=1e-4)
    assert torch.allclose(
        found.rebuilt["words"].double(), expected["rebuilt"], rtol=1e-4, atol=1e-4
    )
    assert torch.allclose(found.kept[0.25].double(), expected["kept"], rtol=1e-4, atol=1e-4)
    assert found.share_large == pytest.approx(share) and 0 < share < 1


def test_projections_are_the_coordinates_on_the_directions(clip, many_pixels):
    lens = SecondOrderLens(clip, [0])
    directions = lens.directions([many_pixels], top_images=9, alpha_dtype=torch.float64)[0]
    table = lens.collect([many_pixels], alpha_dtype=torch.float64).tables[0]
    centred = lens.effects(many_pixels, 0) - directions.bias
    expected = (centred * directions.direction).sum(dim=-1)
    found = projections(table, lens.basis, 0, directions)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-9)
    top = directions.top_images[:, 0]
    strongest = centred.norm(dim=-1).argmax(dim=0)
    assert torch.equal(top, strongest)
