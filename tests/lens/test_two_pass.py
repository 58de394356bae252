"""Directions without stored coefficients equal those from stored ones."""

import pytest
import torch

from advgen.errors import DataError
from advgen.lens import Budget, SecondOrderLens, collect_images, principal_directions
from advgen.lens.two_pass import layer_groups, two_pass_directions

EXACT = Budget(dtype=torch.float64)


@pytest.mark.parametrize("group_bytes", [1 << 30, 1])
@pytest.mark.parametrize("top_images", [9, 100])
def test_equals_one_pass(any_clip, make_source, tmp_path, group_bytes, top_images):
    source = make_source(broken=(4, 5))
    lens = SecondOrderLens(any_clip, [2, 0])
    found, tables = {}, collect_images(lens, source, tmp_path, {}, budget=EXACT).effects.tables
    twice = two_pass_directions(lens, source, top_images=top_images, group_bytes=group_bytes)
    for layer, directions, skipped in twice:
        found[layer] = directions
        assert [item.index for item in skipped] == [4, 5]
    assert list(found) == [0, 2]
    for layer, directions in found.items():
        expected = principal_directions(tables[layer], lens.basis, layer, top_images=top_images)
        for name, tensor in expected.to_tensors().items():
            other = directions.to_tensors()[name]
            assert other.dtype == tensor.dtype, name
            if name == "top_images":
                assert torch.equal(other, tensor)
            else:
                assert torch.allclose(other, tensor, rtol=1e-7, atol=1e-9), name


def test_layers_are_grouped_by_memory(plain_clip):
    lens = SecondOrderLens(plain_clip, [0, 1, 2])
    assert layer_groups(lens, 100, 10, 1 << 30) == [[0, 1, 2]]
    assert layer_groups(lens, 100, 10, 1) == [[0], [1], [2]]
    sizes = [36 * (4 * 100 + (4 * 10 + 8) * later) for later in (9, 6, 3)]
    assert layer_groups(lens, 100, 10, sizes[0] + sizes[1]) == [[0, 1], [2]]


def test_bad_input(plain_clip, make_source):
    lens = SecondOrderLens(plain_clip, [0])
    with pytest.raises(ValueError, match="top_images >= 1"):
        list(two_pass_directions(lens, make_source(), top_images=0))
    with pytest.raises(DataError, match="none of the 3 images"):
        list(two_pass_directions(lens, make_source(3, broken=(0, 1, 2))))
