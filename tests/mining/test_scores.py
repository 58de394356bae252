import pytest
import torch

from advgen.mining.scores import (
    BEHIND_A_WORD,
    alignments,
    code_terms,
    projection_terms,
    rank_words,
    strongest,
)
from advgen.records import Neuron, NeuronShare
from advgen.text.sparse import SparseCodes

# Three neurons, four words, written out:
#   v = (1, -2)      r_0 = (1, 0)    r_1 = (0, 1)    r_2 = (0.6, 0.8)
#   <v, r_0> = 1     <v, r_1> = -2   <v, r_2> = 0.6 - 1.6 = -1
#
#   gamma            hay     rope    bell    barn
#   neuron 0         0.5     -0.25   .       .
#   neuron 1         0.75    .       -0.5    .
#   neuron 2         -0.25   .       0.5     .
#
#   w_hay  = 1 * 0.5 + -2 * 0.75 + -1 * -0.25 = -0.75
#   w_rope = 1 * -0.25                        = -0.25
#   w_bell = -2 * -0.5 + -1 * 0.5             =  0.5
#   w_barn                                    =  0
TEXTS = ("hay", "rope", "bell", "barn")
CONTRAST = torch.tensor([1.0, -2.0])
DIRECTIONS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
CODES = SparseCodes(
    torch.tensor([[0, 1], [0, 2], [2, 0]]),
    torch.tensor([[0.5, -0.25], [0.75, -0.5], [0.5, -0.25]]),
)
NEURONS = [Neuron(1, 10), Neuron(1, 11), Neuron(4, 0)]


def test_alignment_is_the_dot_product_with_the_contrast() -> None:
    assert alignments(DIRECTIONS, CONTRAST).tolist() == pytest.approx([1.0, -2.0, -1.0])


def test_equation_6_by_hand() -> None:
    terms = code_terms(CODES, alignments(DIRECTIONS, CONTRAST), len(TEXTS))
    assert terms.sum(dim=0).tolist() == pytest.approx([-0.75, -0.25, 0.5, 0.0])


def test_words_that_speak_for_the_target_are_kept_with_the_neurons_behind_them() -> None:
    terms = code_terms(CODES, alignments(DIRECTIONS, CONTRAST), len(TEXTS))
    (bell,) = rank_words(terms, NEURONS, TEXTS)
    assert (bell.word, bell.score) == ("bell", pytest.approx(0.5))
    assert bell.neurons == (
        NeuronShare(Neuron(1, 11), pytest.approx(1.0)),
        NeuronShare(Neuron(4, 0), pytest.approx(-0.5)),
    )


def test_turning_the_contrast_around_turns_the_ranking_around() -> None:
    terms = code_terms(CODES, alignments(DIRECTIONS, -CONTRAST), len(TEXTS))
    ranked = rank_words(terms, NEURONS, TEXTS)
    assert [(word.word, round(word.score, 5)) for word in ranked] == [("hay", 0.75), ("rope", 0.25)]


def test_only_the_neurons_that_speak_most_are_named() -> None:
    count = BEHIND_A_WORD + 4
    neurons = [Neuron(0, index) for index in range(count)]
    (word,) = rank_words(torch.arange(count).float()[:, None], neurons, ["hay"])
    assert word.score == sum(range(count))
    assert [share.neuron.index for share in word.neurons] == [11, 10, 9, 8, 7, 6, 5, 4]


def test_strongest_goes_by_magnitude_and_breaks_ties_by_position() -> None:
    values = torch.tensor([0.5, -2.0, 2.0, 0.0, -0.5])
    assert strongest(values, 4).tolist() == [1, 2, 0, 4]
    assert strongest(values, 99).tolist() == [1, 2, 0, 4, 3]


def test_codes_of_other_neurons_are_refused() -> None:
    with pytest.raises(ValueError, match="as many codes as alignments; got 3 codes"):
        code_terms(CODES, torch.ones(2), len(TEXTS))


def test_a_word_s_projection_runs_through_each_neuron() -> None:
    # <t, r> = 1, 2, 0.6 + 1.6 = 2.2 for t = (1, 2); times <v, r> = 1, -2, -1.
    terms = projection_terms(
        torch.tensor([[1.0, 2.0]]), DIRECTIONS, alignments(DIRECTIONS, CONTRAST)
    )
    assert terms[:, 0].tolist() == pytest.approx([1.0, -4.0, -2.2])
