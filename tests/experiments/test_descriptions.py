from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from advgen.errors import ConfigError
from advgen.experiments.descriptions import (
    RANDOM,
    describe_layer,
    drawn_words,
    encode_pools,
    least_squares,
    mean_cosine,
    open_pool,
    usable_lengths,
)


@pytest.fixture(scope="module")
def encoded(small_subject):
    return encode_pools(small_subject, ["sandbox@60", "words-12"])


def test_a_part_of_a_pool_keeps_its_order():
    whole, part = open_pool("sandbox", 0), open_pool("sandbox@20", 0)
    assert len(part.texts) == 20
    places = [whole.texts.index(text) for text in part.texts]
    assert places == sorted(places)
    assert open_pool("sandbox@20", 0).texts == part.texts
    assert open_pool("sandbox@20", 1).texts != part.texts


@pytest.mark.parametrize(
    ("spec", "message"),
    [("sandbox@99999", "texts, not 99999"), ("nowhere@3", "nowhere"), ("sandbox@0", "sandbox@0")],
)
def test_bad_pools(spec, message):
    with pytest.raises(ConfigError, match=message):
        open_pool(spec, 0)


def test_lengths_beyond_the_smallest_pool_are_left_out(encoded):
    fewest = len(encoded["words-12"].pool.texts)
    assert usable_lengths((4, 2, 1000), encoded) == (2, 4)
    assert usable_lengths((500, 1000), encoded) == (fewest,)


def test_more_texts_come_closer_and_chosen_ones_closer_than_random(small_subject, encoded):
    directions = small_subject.directions[4]
    pool = {"sandbox@60": encoded["sandbox@60"]}
    found = describe_layer(small_subject, directions, pool, (4, 16), seed=0)
    cosine = {key: mean_cosine(directions, rows) for key, rows in found.vectors.items()}
    assert cosine["sandbox@60", 4] < cosine["sandbox@60", 16] < 1
    assert cosine[RANDOM, 4] < cosine[RANDOM, 16] < cosine["sandbox@60", 16]
    codes = found.codes["sandbox@60", 4]
    rows = pool["sandbox@60"].embeddings
    explicit = sum(
        value * rows[index]
        for value, index in zip(codes.values[7], codes.indices[7].tolist(), strict=True)
    )
    assert torch.allclose(found.vectors["sandbox@60", 4][7], explicit, atol=1e-5)
    again = describe_layer(small_subject, directions, pool, (4, 16), seed=0)
    assert torch.equal(again.vectors[RANDOM, 16], found.vectors[RANDOM, 16])


def test_least_squares_against_numpy():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(300, 12, generator=generator, dtype=torch.float64)
    rows = torch.randn(20, 12, generator=generator, dtype=torch.float64)
    chosen = drawn_words(300, 20, 5, seed=3)
    found = least_squares(targets, rows, chosen)
    for number in (0, 255, 256, 299):
        basis = rows[chosen[number]].numpy().T
        fitted = basis @ np.linalg.lstsq(basis, targets[number].numpy(), rcond=None)[0]
        assert np.allclose(found[number].numpy(), fitted)
    assert all(len(set(row)) == 5 for row in chosen.tolist())


def test_mean_cosine_counts_neurons_with_a_direction(small_subject):
    directions = small_subject.directions[4]
    part = directions.direction.clone()
    assert mean_cosine(directions, part) == pytest.approx(1.0)
    silent = dataclasses.replace(directions, direction=torch.zeros_like(part))
    assert math.isnan(mean_cosine(silent, part))
    part[: len(part) // 2] *= -1
    assert abs(mean_cosine(directions, part)) < 0.01
