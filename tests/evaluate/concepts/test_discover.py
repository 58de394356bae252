import math

import pytest
import torch

from advgen.evaluate.concepts.discover import (
    ConceptFinder,
    ConceptRule,
    activation_strengths,
    specificity,
    word_weights,
)
from advgen.evaluate.concepts.effects import EffectSizes
from advgen.lens import NeuronDirections
from advgen.records import Neuron
from advgen.text import SparseCodes, decompose, make_atoms, make_solver

TEXTS = ("dog", "snow", "ship")
CODES = SparseCodes(
    torch.tensor([[0, 1], [1, -1], [2, 0]]), torch.tensor([[2.0, -1.0], [0.5, 0.0], [3.0, 1.0]])
)
SIZES = EffectSizes(
    torch.tensor([[4.0, 8.0, 0.5], [0.1, 3.0, 2.0]]),
    torch.tensor([[3.0, -2.0, 0.5], [0.1, 2.0, -1.0]]),
)


@pytest.fixture
def hand_made() -> dict[int, NeuronDirections]:
    """A neuron of layer 2 and two of layer 5, all of them activated from a norm of 1 on."""

    def layer(rows: torch.Tensor) -> NeuronDirections:
        ones = torch.ones(len(rows))
        numbers = torch.zeros(len(rows), 1, dtype=torch.long)
        return NeuronDirections(
            rows, torch.zeros_like(rows), ones, ones, numbers, ones[:, None], ones, ones
        )

    return {5: layer(torch.eye(3)[1:]), 2: layer(torch.eye(3)[:1])}


def finder(lens, directions, **rule) -> ConceptFinder:
    return ConceptFinder(lens, directions, TEXTS, ConceptRule(**rule), CODES, torch.eye(3))


def test_weights_of_hand_made_codes(lens, hand_made) -> None:
    """Image 0 activates neurons 0 and 1, image 1 neurons 1 and 2; gamma is CODES."""
    plain = finder(lens, hand_made).weights(SIZES)
    assert plain.tolist() == [[8.0, -4.0 + 4.0, 0.0], [2.0, 1.5, 6.0]]
    signed = finder(lens, hand_made, signed=True).weights(SIZES)
    assert signed.tolist() == [[6.0, -3.0 - 1.0, 0.0], [-1.0, 1.0, -3.0]]
    projected = finder(lens, hand_made, score="projection").weights(SIZES)
    assert projected.tolist() == [[4.0, 8.0, 0.0], [0.0, 3.0, 2.0]]


def test_words_are_the_best_of_the_weights_with_their_neurons(lens, hand_made) -> None:
    first, second = finder(lens, hand_made).words(SIZES, ["a", "b"], top=2)
    assert (first.image, first.activated) == ("a", 2)
    assert [(word.word, word.score) for word in first.words] == [("dog", 8.0)]
    assert [(word.word, word.score) for word in second.words] == [("ship", 6.0), ("dog", 2.0)]
    assert [(share.neuron, share.contribution) for share in first.words[0].neurons] == [
        (Neuron(2, 0), 8.0)
    ]
    assert [share.neuron for share in second.words[0].neurons] == [Neuron(5, 1)]


def test_an_image_that_activates_nothing_has_no_words(lens, hand_made) -> None:
    quiet = EffectSizes(torch.zeros(1, 3), torch.zeros(1, 3))
    (found,) = finder(lens, hand_made).words(quiet, ["grey"])
    assert (found.activated, found.words) == (0, ())


def test_specificity_counts_the_neurons_that_have_a_word(lens, hand_made) -> None:
    """Of three neurons two speak for `dog`; `snow` is one's word and another's opposite."""
    expected = torch.tensor([4 / 3, 4 / 2, 4 / 2]).log()
    torch.testing.assert_close(specificity(CODES, 3), expected)
    weights = finder(lens, hand_made, specific=True).weights(SIZES)
    torch.testing.assert_close(weights[1], torch.tensor([2.0, 1.5, 6.0]) * expected)
    (_, second) = finder(lens, hand_made, specific=True).words(SIZES, ["a", "b"])
    assert second.words[0].score == pytest.approx(6 * math.log(2))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("threshold", ["quantile", "top"])
def test_weights_are_the_sum_over_explicit_effects(
    clip, lens, directions, encoded, pixels, threshold, signed
) -> None:
    """w_j^I by loops over images, neurons and words, from effects formed in float64."""
    rule = ConceptRule(threshold=threshold, signed=signed)
    r = torch.cat([directions[layer].direction for layer in (3, 4)])
    codes = decompose(r, encoded, make_solver(), nonzeros=4)
    texts = encoded.pool.texts
    made = ConceptFinder(lens, directions, texts, rule, codes)
    images = pixels[16:19]
    found = made.weights(made.sizes(images))
    field = "norm_quantile" if threshold == "quantile" else "norm_threshold"
    bound = torch.cat([getattr(directions[layer], field) for layer in (3, 4)]).double()
    bias = torch.cat([directions[layer].bias for layer in (3, 4)]).double()
    effects = torch.cat([lens.effects(images, layer) for layer in (3, 4)], dim=1).double() - bias
    dense = codes.dense(len(texts)).double()
    expected = torch.zeros(len(images), len(texts), dtype=torch.float64)
    count = 0
    for image, phis in enumerate(effects):
        for neuron, phi in enumerate(phis):
            if phi.norm() <= bound[neuron]:
                continue
            count += 1
            strength = phi @ r[neuron].double() if signed else phi.norm()
            for word in range(len(texts)):
                expected[image, word] += dense[neuron, word] * strength
    assert 3 * 20 < count < 3 * 1280
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)


def test_an_image_has_the_same_words_in_any_batch(lens, directions, encoded, pixels) -> None:
    r = torch.cat([directions[layer].direction for layer in (3, 4)])
    codes = decompose(r, encoded, make_solver(), nonzeros=4)
    made = ConceptFinder(lens, directions, encoded.pool.texts, ConceptRule(), codes)
    names = [str(number) for number in range(24)]
    together = made.words(made.sizes(pixels), names)
    for number in (0, 13, 23):
        (alone,) = made.words(made.sizes(pixels[number : number + 1]), [names[number]])
        assert alone.image == together[number].image
        assert [word.word for word in alone.words] == [w.word for w in together[number].words]
        for one, other in zip(alone.words, together[number].words, strict=True):
            assert one.score == pytest.approx(other.score, rel=1e-3)


def test_projection_words_come_from_atoms_and_directions(lens, directions, encoded, pixels) -> None:
    atoms = make_atoms(encoded.embeddings, "centered-unit")
    rule = ConceptRule(score="projection", signed=True)
    made = ConceptFinder(lens, directions, encoded.pool.texts, rule, atoms=atoms)
    sizes = made.sizes(pixels[:5])
    strengths = activation_strengths(sizes, directions, rule)
    r = torch.cat([directions[layer].direction for layer in (3, 4)])
    expected = torch.einsum("in,ne,we->iw", strengths, r, atoms)
    torch.testing.assert_close(made.weights(sizes), expected, rtol=1e-3, atol=1e-3)
    for row, found in zip(expected, made.words(sizes, list("abcde"), top=1), strict=True):
        assert found.words[0].word == encoded.pool.texts[int(row.argmax())]


def test_without_a_threshold_every_neuron_speaks(lens, hand_made) -> None:
    rule = {"threshold": "none", "signed": True}
    every = finder(lens, hand_made, score="projection", **rule).weights(SIZES)
    assert torch.equal(every, SIZES.projections)
    hand_made[5].direction[1] = 0.0  # a neuron without a direction says nothing
    (first, _) = finder(lens, hand_made, **rule).words(SIZES, ["a", "b"])
    assert first.activated == 2


def test_spread_words_keep_their_order_and_weights(lens, hand_made) -> None:
    """`snow` lies beside `dog`, so that `ship` is said before `dog` though it weighs less."""
    atoms = torch.tensor([[1.0, 0.0, 0.0], [0.98, 0.199, 0.0], [0.0, 0.9, 0.0]])
    rule = ConceptRule(threshold="none", score="projection", signed=True, spread=0.9)
    made = ConceptFinder(lens, hand_made, TEXTS, rule, atoms=atoms)
    sizes = EffectSizes(torch.ones(1, 3), torch.tensor([[1.0, 0.3, 0.0]]))
    assert made.best(sizes, 3).tolist() == [[1, 2, 0]]
    (found,) = made.words(sizes, ["a"], top=3)
    assert [word.word for word in found.words] == ["snow", "ship", "dog"]
    assert [word.score for word in found.words] == pytest.approx([0.98 + 0.0597, 0.27, 1.0])


@pytest.mark.usefixtures("shapes_unchecked")
@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"score": "cosine"}, "score"),
        ({"score": "projection", "specific": True}, "score"),
        ({"score": "projection", "spread": 1.5}, "from 0 to 1"),
        ({"spread": 0.5}, "with a spread"),
        ({"threshold": "none"}, "signed"),
    ],
)
def test_rules_that_cannot_be_followed(rule, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ConceptRule(**rule)


def test_what_the_rule_needs_must_be_there(lens, hand_made) -> None:
    with pytest.raises(ValueError, match="expected what the score 'projection' needs"):
        ConceptFinder(lens, hand_made, TEXTS, ConceptRule(score="projection"), CODES)
    with pytest.raises(ValueError, match="codes of 2 neurons; got 3"):
        word_weights(torch.ones(1, 2), CODES, 3)
