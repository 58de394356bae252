from __future__ import annotations

import dataclasses

import pytest
import torch
from scipy.stats import pearsonr

from advgen.experiments.descriptions import RANDOM, describe_layer, encode_pools
from advgen.experiments.mean_ablation import mean_ablation
from advgen.experiments.output import result_json
from advgen.experiments.reconstruction import (
    DESCRIPTIONS,
    description_scores,
    reconstruction,
)
from advgen.lens import layer_sums, projections
from advgen.text import SparseCodes

POOLS = ("sandbox@50", "words-12")


@pytest.fixture(scope="module")
def subject(make_subject):
    return make_subject(layers=(3, 4), seed=1)


@pytest.fixture(scope="module")
def found(subject):
    return reconstruction(subject, POOLS, lengths=(2, 4, 900), scored=(4,), neurons=9)


def test_rows_stand_between_ablated_and_first_component(found, subject):
    ablation = mean_ablation(subject)
    assert found.baseline == ablation.baseline
    assert (found.images, found.lengths) == (24, (2, 4))
    for row, other in zip(found.rows, ablation.rows, strict=True):
        assert row.layers == other.layers
        assert (row.ablated, row.first_component) == (other.ablated, other.first_component)
        assert set(row.pools) == set(row.cosine) == {*POOLS, RANDOM}
        assert all(len(values) == 2 for values in row.pools.values())
        assert all(values[0] < values[1] for values in row.cosine.values())


def test_a_reconstruction_is_the_explicit_sum(found, subject):
    lens = subject.lens([4])
    effects = subject.collect(lens).effects
    directions = subject.directions[4]
    encoded = encode_pools(subject, POOLS[:1])
    described = describe_layer(subject, directions, encoded, (4,), seed=0)
    vectors = described.vectors[POOLS[0], 4]
    coordinates = projections(effects.tables[4], lens.basis, 4, directions)
    every = layer_sums(effects.tables[4], lens.basis, 4, directions).every
    rebuilt = effects.representation - every + coordinates @ vectors
    assert found.rows[1].pools[POOLS[0]][1] == subject.accuracy(rebuilt, effects.numbers)


def test_every_layer_and_pool_is_scored_beside_controls(found):
    places = [(row.layer, row.pool, row.nonzeros) for row in found.faithfulness]
    assert places == [(layer, pool, 4) for layer in (3, 4) for pool in POOLS]
    for row in found.faithfulness:
        assert row.neurons == 9
        assert list(row.scores) == [DESCRIPTIONS, "shuffled-neurons", "random-words"]
        assert all(abs(scores["pearson"].mean) <= 1 for scores in row.scores.values())


def test_scores_are_those_of_the_descriptions(subject):
    directions = subject.directions[4]
    encoded = encode_pools(subject, POOLS[:1])
    described = describe_layer(subject, directions, encoded, (3,), seed=0)
    key = (POOLS[0], 3)
    codes = described.codes[key]
    codes = SparseCodes(codes.indices[:12], codes.values[:12])
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(25, 512, generator=generator)
    coordinates = torch.randn(25, 12, generator=generator)
    scores = description_scores(coordinates, embeddings, codes, described.atoms[key[0]], seed=0)
    predicted = embeddings @ described.vectors[key].T
    expected = [pearsonr(coordinates[:, neuron], predicted[:, neuron])[0] for neuron in range(12)]
    found = scores[DESCRIPTIONS]["pearson"].mean
    assert found == pytest.approx(sum(expected) / len(expected), abs=1e-5)
    assert scores["shuffled-neurons"]["pearson"].mean != pytest.approx(found, abs=1e-5)


def test_same_seed_same_result(found, subject):
    again = reconstruction(subject, POOLS, lengths=(2, 4), scored=(4,), neurons=9)
    assert result_json(dataclasses.asdict(again)) == result_json(dataclasses.asdict(found))


def test_nothing_to_do_is_refused(subject):
    for pools, lengths in (((), (4,)), (POOLS, ()), (POOLS, (0, 4))):
        with pytest.raises(ValueError, match="expected pools and lengths"):
            reconstruction(subject, pools, lengths=lengths)
