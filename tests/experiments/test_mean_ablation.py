from __future__ import annotations

import dataclasses

import pytest
import torch

from advgen.errors import AdvgenError, ConfigError, DataError
from advgen.experiments import experiment_preset
from advgen.experiments.ablation_report import ablation_result, print_ablation
from advgen.experiments.mean_ablation import (
    ablation_variants,
    joined_sums,
    layer_groups,
    layers_name,
    mean_ablation,
    measure_ablation,
    median_explained,
)
from advgen.lens import LayerSums, ablated_representations


@pytest.fixture(scope="module")
def found(small_subject):
    return mean_ablation(small_subject)


@pytest.fixture(scope="module")
def pieces(make_subject):
    """Lens, coefficients and directions where D is the evaluated set itself."""
    subject = make_subject(lens_images="sandbox:24?single=1&size=60", layers=(3, 4))
    lens = subject.lens()
    return subject, lens, subject.collect(lens), subject.directions


def test_over_its_own_images_it_is_the_ablation_of_the_lens(pieces):
    subject, lens, collection, directions = pieces
    found = measure_ablation(subject, collection, lens, directions)
    for row in found.rows:
        expected = ablated_representations(lens, collection.effects, row.layers)
        assert row.ablated == subject.accuracy(expected, collection.effects.numbers)
    assert [row.layers for row in found.rows] == [(3,), (4,), (3, 4)]
    # The sixth image lies on the threshold: rounding decides on which side.
    assert all(5 / 24 <= row.share_large <= 6 / 24 for row in found.rows)


def test_with_threshold_zero_everything_is_large(pieces):
    subject, lens, collection, directions = pieces
    zero = {
        layer: dataclasses.replace(part, norm_threshold=torch.zeros_like(part.norm_threshold))
        for layer, part in directions.items()
    }
    found = measure_ablation(subject, collection, lens, zero)
    for row in found.rows:
        assert row.without_large == row.ablated
        assert row.without_small == found.baseline
        assert row.share_large == 1.0


def test_the_rows_are_bounded_and_every_image_counts(found, small_subject):
    assert found.images == 24
    assert [row.name for row in found.rows] == [
        *(f"layer {layer}" for layer in range(5)),
        "layers 2-4",
        "layers 0-4",
    ]
    for row in found.rows:
        for name in ("ablated", "without_large", "without_small", "first_component"):
            hits = getattr(row, name) * 24
            assert hits == pytest.approx(round(hits), abs=1e-4)
        assert 0 < row.share_large < 1 and 0 < row.explained_variance <= 1
    assert found.rows[-1].ablated < found.baseline
    everything = [small_subject.directions[layer] for layer in range(5)]
    assert found.rows[-1].explained_variance == median_explained(everything)


def test_first_component_of_effects_along_one_direction_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    representation = torch.randn(6, 4, generator=generator)
    effects = torch.randn(6, 1, generator=generator) * torch.tensor([0.6, 0.0, 0.8, 0.0])
    sums = LayerSums(every=effects, large=torch.zeros(6, 4), component=effects)
    variants = ablation_variants(representation, sums)
    assert torch.allclose(variants["first_component"], representation, atol=1e-6)
    assert torch.equal(variants["without_large"], representation)
    assert torch.equal(variants["without_small"], variants["ablated"])
    assert torch.allclose(variants["ablated"] + effects, representation, atol=1e-6)


def test_sums_of_layers_add_up():
    def sums(value: float) -> LayerSums:
        full = torch.full((2, 3), value)
        return LayerSums(full, 2 * full, 3 * full, {"a": 4 * full}, {0.5: 5 * full}, value)

    joined = joined_sums([sums(1.0), sums(3.0)])
    found = [joined.every, joined.large, joined.component, joined.rebuilt["a"], joined.kept[0.5]]
    assert [part.unique().tolist() for part in found] == [[4.0], [8.0], [12.0], [16.0], [20.0]]
    assert joined.share_large == 2.0
    with pytest.raises(ValueError, match="at least one layer"):
        joined_sums([])


@pytest.mark.parametrize(
    ("layers", "groups"),
    [
        ((0, 1, 2, 3, 4), [(2, 3, 4), (0, 1, 2, 3, 4)]),
        ((8, 9, 10), [(8, 9, 10)]),
        ((1, 4), [(1, 4)]),
        ((9,), []),
    ],
)
def test_groups_are_the_last_three_and_all(layers, groups):
    assert layer_groups(layers) == groups


def test_names_of_layers():
    assert [layers_name(some) for some in ((9,), (8, 9, 10), (0, 3))] == [
        "layer 9",
        "layers 8-10",
        "layers 0, 3",
    ]


def test_the_result_holds_what_the_numbers_depend_on(found, small_subject, capsys):
    result = ablation_result(small_subject, found)
    assert set(result) >= {"config", "model", "images", "lens_images", "layers", "versions"}
    assert len(result["model"]["weights_sha256"]) == 64
    assert (result["images"]["count"], result["lens_images"]["count"]) == (24, 20)
    assert result["images"]["fingerprint"] != result["lens_images"]["fingerprint"]
    print_ablation(small_subject, found)
    printed = capsys.readouterr().out
    for row in found.rows:
        assert f"{100 * row.ablated:.1f}" in printed
    assert "29.6 %" in printed and "late layers: " in printed


@pytest.mark.parametrize(
    ("changes", "fault", "message"),
    [
        ({"layers": (0, 5)}, ConfigError, "must be from 0 to 4"),
        ({"layers": ()}, ConfigError, "at least one layer"),
        ({"treatment": "none"}, ConfigError, "unknown treatment"),
        ({"top_images": 0}, ConfigError, "top_images must be at least 1"),
        ({"images": "sandbos:40"}, DataError, "sandbox:"),
        ({"model": "sandbox-z"}, AdvgenError, "sandbox-z"),
    ],
)
def test_bad_settings_are_named(make_subject, shapes_unchecked, changes, fault, message):
    with pytest.raises(fault, match=message):
        make_subject(**changes)


def test_images_without_labels_are_refused(make_subject, unlabelled):
    with pytest.raises(DataError, match="no labels"):
        make_subject(images=str(unlabelled))


def test_unknown_preset():
    with pytest.raises(ConfigError, match="available: sandbox, paper"):
        experiment_preset("sand")
