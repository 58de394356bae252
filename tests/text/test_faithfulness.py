import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from advgen.text.atoms import treat_atoms
from advgen.text.faithfulness import (
    CONTROLS,
    Faithfulness,
    control_predictions,
    predict,
    score_predictions,
)
from advgen.text.solvers import omp
from advgen.text.sparse import SparseCodes


def average_precision(positive: np.ndarray, guess: np.ndarray) -> float:
    """Mean over the positives of the precision at their place; guesses must all differ."""
    hits = positive[np.argsort(-guess)]
    return float(np.mean((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits]))


def test_scores_are_those_of_their_definitions() -> None:
    truth = torch.randn(300, 4, dtype=torch.float64)
    guess = truth + torch.randn(300, 4, dtype=torch.float64) + 0.3
    found = score_predictions(truth, guess, quantile=0.9)
    for neuron in range(4):
        x, y = truth[:, neuron].numpy(), guess[:, neuron].numpy()
        positive = x > np.sort(x)[int(0.9 * 299)]
        predicted = y >= np.sort(y)[-positive.sum()]
        overlap = (positive & predicted).sum() / positive.sum()
        assert found.pearson[neuron].item() == pytest.approx(np.corrcoef(x, y)[0, 1])
        assert found.cosine[neuron].item() == pytest.approx(x @ y / np.sqrt(x @ x * (y @ y)))
        assert found.auprc[neuron].item() == pytest.approx(average_precision(positive, y))
        assert found.f1[neuron].item() == pytest.approx(overlap)
        assert found.positives[neuron].item() == pytest.approx(30 / 300)


@pytest.mark.parametrize(
    ("factor", "shift", "pearson", "best"), [(3.0, 2.0, 1.0, True), (-1.0, 0.0, -1.0, False)]
)
def test_perfect_and_inverted_predictions(
    factor: float, shift: float, pearson: float, best: bool
) -> None:
    truth = torch.randn(200, 3)
    found = score_predictions(truth, factor * truth + shift)
    torch.testing.assert_close(found.pearson, torch.full((3,), pearson, dtype=torch.float64))
    assert (found.auprc == 1).all() == best
    assert (found.f1 == 1).all() == best
    assert (found.positives == 4 / 200).all()


def test_a_unit_of_measure_and_a_dtype_change_nothing() -> None:
    truth, guess = torch.randn(100, 2), torch.randn(100, 2)
    found, scaled = (score_predictions(truth * s, guess / s) for s in (1.0, 1024.0))
    assert torch.equal(found.auprc, scaled.auprc)
    torch.testing.assert_close(found.cosine, scaled.cosine)


def test_neurons_without_variance_are_nan_and_counted() -> None:
    truth = torch.randn(50, 3)
    truth[:, 1] = 0.1
    guess = torch.randn(50, 3)
    guess[:, 2] = 0.0
    found = score_predictions(truth, guess)
    assert found.pearson.isnan().tolist() == [False, True, True]
    assert found.cosine.isnan().tolist() == [False, False, True]
    assert found.auprc.isnan().tolist() == [False, True, False]
    assert found.f1.isnan().tolist() == [False, True, False]
    summary = found.summary()
    assert summary["pearson"].undefined == 2
    assert summary["pearson"].mean == summary["pearson"].median == found.pearson[0].item()
    assert summary["auprc"].undefined == 1
    assert summary["auprc"].mean == pytest.approx((found.auprc[0] + found.auprc[2]).item() / 2)


def test_a_summary_of_nothing_is_nan() -> None:
    empty = score_predictions(torch.zeros(3, 2), torch.zeros(3, 2)).summary()
    assert empty["f1"].undefined == 2
    assert math.isnan(empty["f1"].mean)
    assert math.isnan(empty["f1"].median)


def test_of_equal_predictions_no_more_are_counted_than_there_are_positives() -> None:
    truth = torch.arange(10.0)[:, None]
    found = score_predictions(truth, torch.zeros(10, 1), quantile=0.7)
    assert found.positives.item() == pytest.approx(0.3)
    assert found.f1.item() == 0.0


@pytest.mark.parametrize(
    ("truth", "guess", "quantile", "complaint"),
    [
        (torch.ones(3, 2), torch.ones(2, 2), 0.9, r"shape of the projections \(3, 2\)"),
        (torch.ones(1, 2), torch.ones(1, 2), 0.9, "at least 2 images; got 1"),
        (torch.ones(3, 2), torch.ones(3, 2), 1.0, "between 0 and 1; got 1.0"),
        (torch.ones(3, 2) * math.nan, torch.ones(3, 2), 0.9, "finite projections"),
        (torch.ones(3, 2), torch.ones(3, 2) / 0, 0.9, "finite predictions"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    truth: Tensor, guess: Tensor, quantile: float, complaint: str, shapes_unchecked: None
) -> None:
    with pytest.raises(ValueError, match=complaint):
        score_predictions(truth, guess, quantile=quantile)


def world() -> tuple[Tensor, Tensor, Tensor]:
    """Images, texts and neuron directions that are sums of three texts each."""
    texts = F.normalize(torch.randn(80, 24), dim=1)
    directions = torch.stack([texts[n * 3 : n * 3 + 3].sum(dim=0) for n in range(12)])
    return F.normalize(torch.randn(400, 24), dim=1), texts, directions


def test_a_prediction_is_the_sum_over_words_of_the_equation() -> None:
    images, texts, _ = world()
    codes = SparseCodes(torch.tensor([[4, 9], [2, -1]]), torch.tensor([[1.5, -1.0], [0.5, 0.0]]))
    found = predict(images, treat_atoms(texts, "unit").reconstruct(codes))
    torch.testing.assert_close(found[:, 0], 1.5 * images @ texts[4] - images @ texts[9])
    torch.testing.assert_close(found[:, 1], 0.5 * images @ texts[2])


def test_true_descriptions_predict_and_controls_do_not() -> None:
    images, texts, directions = world()
    atoms = treat_atoms(texts, "unit")
    codes = omp(directions, atoms.rows, 6)
    truth = images @ directions.T

    def scored(guess: Tensor) -> Faithfulness:
        return score_predictions(truth, guess)

    ours = scored(predict(images, atoms.reconstruct(codes))).summary()
    assert ours["pearson"].median > 0.95
    assert ours["auprc"].median > 0.8
    controls = control_predictions(images, codes, atoms, seed=0)
    assert tuple(controls) == CONTROLS
    for guess in controls.values():
        assert abs(scored(guess).summary()["pearson"].median) < 0.3
        assert scored(guess).summary()["auprc"].median < 0.3


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_neurons_each_get_the_description_of_another(seed: int) -> None:
    count = seed + 2
    codes = SparseCodes(torch.arange(count)[:, None], torch.ones(count, 1))
    atoms = treat_atoms(torch.eye(count), "unit")
    shuffled = control_predictions(torch.eye(count), codes, atoms, seed=seed)["shuffled-neurons"]
    assert shuffled.diagonal().eq(0).all()
    assert shuffled.sum(dim=0).eq(1).all()
    assert shuffled.sum(dim=1).eq(1).all()


def test_random_words_keep_coefficients_and_padding_and_repeat_with_the_seed() -> None:
    codes = SparseCodes(
        torch.tensor([[0, 1, 2], [5, -1, -1]]), torch.tensor([[3.0, 2.0, 1.0], [4.0, 0.0, 0.0]])
    )
    atoms = treat_atoms(torch.eye(9), "unit")
    draws = [
        control_predictions(torch.eye(9), codes, atoms, seed=seed)["random-words"]
        for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    for draw in draws:
        assert sorted(draw[:, 0].tolist())[-4:] == [0.0, 1.0, 2.0, 3.0]
        assert sorted(draw[:, 1].tolist())[-2:] == [0.0, 4.0]


@pytest.mark.parametrize(
    ("neurons", "words", "complaint"), [(1, 1, "at least 2 neurons"), (2, 4, "at most 3 words")]
)
def test_controls_that_cannot_be_drawn_are_refused(
    neurons: int, words: int, complaint: str
) -> None:
    codes = SparseCodes(torch.zeros(neurons, words).long(), torch.ones(neurons, words))
    with pytest.raises(ValueError, match=complaint):
        control_predictions(torch.eye(3), codes, treat_atoms(torch.eye(3), "unit"), seed=0)
