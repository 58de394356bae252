import dataclasses

import numpy as np
import pytest
import torch

from advgen.neurons import concept_count, describe_neurons, plain_facts
from advgen.neurons.describe import CHUNK
from advgen.records import Neuron
from advgen.text import decompose, make_atoms, make_solver, signed_words

CHOSEN = [Neuron(4, 10), Neuron(3, 1), Neuron(4, 11)]
AXES = torch.eye(3)


@pytest.fixture
def solver():
    return make_solver("sklearn")


@pytest.mark.parametrize(
    ("weights", "rows", "expected"),
    [
        ([0.3], AXES[:1], 1.0),
        ([2.0, 2.0, 2.0], AXES, 3.0),
        ([0.1, 0.1], AXES[[0, 0]], 1.0),
        ([0.75, 0.25], AXES[:2], 1 / (9 / 16 + 1 / 16)),
        ([1.0, 1.0], torch.stack([AXES[0], -AXES[0]]), 2.0),
        ([1.0, 1.0], torch.tensor([[1.0, 0.0], [0.6, 0.8]]), 1 / (0.5 + 0.5 * 0.6)),
    ],
    ids=["one", "three", "same word", "unequal", "opposite", "alike"],
)
def test_concepts_are_counted_by_hand(weights, rows, expected: float) -> None:
    assert concept_count(torch.tensor(weights), rows) == pytest.approx(expected)


def test_no_words_are_no_concept() -> None:
    assert concept_count(torch.empty(0), torch.empty(0, 3)) == 0.0


def test_words_are_those_of_a_decomposition(catalogue, encoded, solver, listener) -> None:
    facts = describe_neurons(catalogue, CHOSEN, encoded, solver, listener)
    assert [entry.neuron for entry in facts] == CHOSEN
    assert listener.steps == len(CHOSEN)
    for entry in facts:
        layer, index = catalogue.directions[entry.neuron.layer], entry.neuron.index
        codes = decompose(layer.direction[index : index + 1], encoded, solver, nonzeros=5)
        expected = signed_words(codes, 0, encoded.pool.texts)
        assert [(word.word, word.coefficient) for word in entry.words] == expected
        assert entry.explained_variance == layer.explained_variance[index].item()
        assert entry.norm_threshold == layer.top_norms[index, -1].item()
        assert entry.largest_norm == layer.top_norms[index, 0].item()
        assert entry.norm_quantile == layer.norm_quantile[index].item()


def test_concepts_are_those_of_the_positive_words(catalogue, encoded, solver, listener) -> None:
    facts = describe_neurons(catalogue, CHOSEN, encoded, solver, listener, words=1)
    atoms = make_atoms(encoded.embeddings, "centered-unit").double().numpy()
    whole = describe_neurons(catalogue, CHOSEN, encoded, solver, listener)
    for short, entry in zip(facts, whole, strict=True):
        assert short.words == entry.words[:1]
        positive = [word for word in entry.words if word.coefficient > 0]
        rows = atoms[[encoded.pool.texts.index(word.word) for word in positive]]
        share = np.array([word.coefficient for word in positive])
        share /= share.sum()
        total = sum(
            share[i] * share[j] * (1.0 if i == j else max(0.0, float(rows[i] @ rows[j])))
            for i in range(len(share))
            for j in range(len(share))
        )
        assert short.concepts == pytest.approx(1 / total, rel=1e-5)


def test_many_neurons_come_in_order(catalogue, encoded, solver, listener) -> None:
    chosen = catalogue.neurons[: CHUNK + 3]
    facts = describe_neurons(catalogue, chosen, encoded, solver, listener, words=2)
    assert [entry.neuron for entry in facts] == chosen
    assert listener.steps == len(chosen)


def test_more_words_than_non_zeros_are_all_of_them(catalogue, encoded, solver, listener) -> None:
    facts = describe_neurons(catalogue, CHOSEN, encoded, solver, listener, words=60)
    assert facts == describe_neurons(catalogue, CHOSEN, encoded, solver, listener)
    assert [len(entry.words) for entry in facts] == [5, 5, 5]


def test_plain_facts_have_no_words(catalogue) -> None:
    facts = plain_facts(catalogue, CHOSEN[0])
    assert (facts.words, facts.concepts) == ((), 0.0)
    assert dataclasses.replace(facts, neuron=CHOSEN[1]) != plain_facts(catalogue, CHOSEN[1])
