import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, jaccard_score

from advgen.evaluate.segmentation.geometry import SIDE
from advgen.evaluate.segmentation.metrics import (
    METRICS,
    THRESHOLDS,
    MaskScores,
    Tally,
    Threshold,
    average_precision,
    compare,
    marked,
    scaled,
)
from advgen.experiments.paired import paired


def half() -> np.ndarray:
    """Foreground on the left half."""
    return np.arange(SIDE)[None, :].repeat(SIDE, axis=0) < SIDE // 2


def heats(count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scaled(torch.rand(7, 7, generator=generator)) for _ in range(count)]


def masks(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random((SIDE, SIDE)) < rng.random() for _ in range(count)]


def scores_of(maps, truths, threshold: Threshold = "0.5") -> MaskScores:
    tally = Tally(threshold)
    for heat, mask in zip(maps, truths, strict=True):
        tally.add(heat, mask)
    return tally.scores()


def test_a_map_is_scaled_bilinearly_then_from_0_to_1() -> None:
    heat = scaled(torch.tensor([[3.0, 7.0]]))
    place = (np.arange(SIDE) + 0.5) * 2 / SIDE - 0.5
    expected = np.interp(place, [0, 1], [0.0, 1.0])
    assert heat.shape == (SIDE, SIDE)
    np.testing.assert_allclose(heat.numpy(), np.tile(expected, (SIDE, 1)), atol=1e-12)
    shifted = scaled(5 * torch.tensor([[3.0, 7.0]]) - 2)
    torch.testing.assert_close(heat, shifted, atol=1e-12, rtol=0)


def test_a_constant_map_says_nothing() -> None:
    heat = scaled(torch.full((5, 5), 0.1))
    assert bool((heat == 0.5).all())
    for threshold in THRESHOLDS:
        assert not marked(heat, threshold).any()
    assert average_precision(heat, half()) == pytest.approx(0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    heat = torch.rand(3, 3)
    heat[1, 1] = value
    with pytest.raises(ValueError, match="finite"):
        scaled(heat)


@pytest.mark.parametrize(
    ("name", "heat", "mask", "accuracy", "iou", "miou"),
    [
        ("right", half(), half(), 1.0, (1.0, 1.0), 1.0),
        ("all of it", np.ones_like(half()), half(), 0.5, (0.0, 0.5), 0.25),
        ("opposite", ~half(), half(), 0.0, (0.0, 0.0), 0.0),
        ("empty mask, nothing called", ~half() & half(), ~half() & half(), 1.0, (1, None), 1.0),
        ("empty mask, half called", half(), ~half() & half(), 0.5, (0.5, 0.0), 0.25),
        ("full mask, all called", half() | ~half(), half() | ~half(), 1.0, (None, 1), 1.0),
        ("full mask, half called", half(), half() | ~half(), 0.5, (0.0, 0.5), 0.25),
    ],
)
def test_hand_computed_cases(name, heat, mask, accuracy, iou, miou) -> None:
    scores = scores_of([torch.from_numpy(heat.astype(float))], [mask])
    assert scores.pixel_accuracy == accuracy
    found = tuple(None if value != value else value for value in scores.class_iou)
    assert found == iou
    assert scores.mean_iou == miou
    assert 0 < scores.mean_precision <= 1
    for metric in METRICS:
        assert scores.per_image(metric).mean() == pytest.approx(getattr(scores, metric))


def test_precision_of_a_two_step_map_by_hand() -> None:
    """Half the pixels foreground, all given 0.75: 1-h ranks background at 0.25."""
    heat = torch.full((SIDE, SIDE), 0.75, dtype=torch.float64)
    # Above 0.75 come all foreground scores (half right), then at 0.25 all background ones.
    assert average_precision(heat, half()) == pytest.approx(0.5 * 0.5 + 0.5 * 0.5)
    assert average_precision(torch.from_numpy(half().astype(float)), half()) == 1.0


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_against_scikit_learn_over_a_set(threshold) -> None:
    maps, truths = heats(3), masks(3)
    scores = scores_of(maps, truths, threshold)
    cuts = [0.5 if threshold == "0.5" else float(heat.mean()) for heat in maps]
    called = np.concatenate([(h.numpy() > c).ravel() for h, c in zip(maps, cuts, strict=True)])
    truth = np.concatenate([mask.ravel() for mask in truths])
    assert scores.pixel_accuracy == pytest.approx(accuracy_score(truth, called), abs=1e-12)
    ious = [jaccard_score(truth, called, pos_label=label) for label in (False, True)]
    assert scores.class_iou == pytest.approx(tuple(ious), abs=1e-12)
    assert scores.mean_iou == pytest.approx(np.mean(ious), abs=1e-12)
    precision = [
        average_precision_score(
            np.stack([mask == 0, mask == 1]).ravel(), np.stack([1 - h, h]).ravel()
        )
        for h, mask in zip((heat.numpy() for heat in maps), truths, strict=True)
    ]
    assert scores.mean_precision == pytest.approx(np.mean(precision), abs=1e-12)


def test_counts_are_summed_over_the_set_before_they_are_divided() -> None:
    """An image with little foreground weighs little; a mean of per-image IoU would not do."""
    small, large = half() & ~half(), half()
    small[0, 0] = True
    wrong, right = torch.from_numpy((~small).astype(float)), torch.from_numpy(large.astype(float))
    scores = scores_of([wrong, right], [small, large])
    pixels = SIDE * SIDE
    assert scores.class_iou[1] == pytest.approx((pixels / 2) / (pixels + pixels / 2))


@settings(max_examples=12)
@given(st.integers(0, 1000))
def test_per_image_values_average_to_the_metric(seed: int) -> None:
    scores = scores_of(heats(4, seed), masks(4, seed + 1))
    for metric in METRICS:
        values = scores.per_image(metric)
        assert len(values) == scores.images == 4
        assert float(values.mean()) == pytest.approx(getattr(scores, metric), abs=1e-12)


def test_the_interval_of_miou_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(3)
    union = rng.integers(2000, 9000, (300, 2))
    first, second = (
        MaskScores(SIDE * SIDE, (union * rng.beta(a, 3, (300, 2))).astype(int), union, np.ones(300))
        for a in (6, 5)
    )
    found = compare(first, second)["mean_iou"]
    assert found.difference == pytest.approx(first.mean_iou - second.mean_iou, abs=1e-12)
    draws = []
    for _ in range(1500):
        chosen = rng.integers(0, 300, 300)
        each = [
            (scores.intersection[chosen].sum(0) / scores.union[chosen].sum(0)).mean()
            for scores in (first, second)
        ]
        draws.append(each[0] - each[1])
    assert found.half_width == pytest.approx(1.96 * np.std(draws), rel=0.1)


def test_a_comparison_is_that_of_the_per_image_values() -> None:
    truths = masks(5)
    first, second = scores_of(heats(5, 1), truths), scores_of(heats(5, 2), truths)
    found = compare(first, second)
    assert list(found) == list(METRICS)
    for metric in METRICS:
        assert found[metric] == paired(first.per_image(metric), second.per_image(metric))
        assert found[metric].half_width > 0
    with pytest.raises(ValueError, match="equally long"):
        compare(first, scores_of(heats(4), truths[:4]))


def test_no_image_has_no_score() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        Tally("0.5").scores()
