import numpy as np
import pytest
from matplotlib.axes import Axes

from advgen.experiment_plots import (
    ablation_bars,
    accuracy_curves,
    figure_of,
    grouped_accuracy,
    panels,
    score_bars,
)
from advgen.experiments.mean_ablation import AblationRow, MeanAblation


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_bars_have_the_height_of_the_accuracy_in_percent():
    ax = grouped_accuracy(
        {"a": np.array([0.1, 0.2]), "b": np.array([0.3, 0.4])},
        groups=["layer 0", "layer 1"],
        baseline=0.5,
    )
    assert [round(patch.get_height()) for patch in ax.patches] == [10, 20, 30, 40]
    assert list(ax.lines[0].get_ydata()) == [50, 50]
    assert labels(ax) == ["not ablated", "a", "b"]
    assert "%" in ax.get_ylabel()


def test_bars_of_one_group_do_not_overlap_the_next():
    ax = grouped_accuracy(
        {name: np.array([0.1, 0.2]) for name in "abcd"}, groups=["x", "y"], baseline=0.5
    )
    ends = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches)
    assert all(end <= start for (_, end), (start, _) in zip(ends, ends[1:], strict=False))


def test_ablation_bars_show_every_row():
    rows = tuple(AblationRow((layer,), 0.1, 0.2, 0.3, 0.4, 0.02, 0.5) for layer in (0, 1))
    ax = ablation_bars(MeanAblation(0.6, 10, rows))
    assert len(ax.patches) == 8
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["layer\n0", "layer\n1"]


def test_curves_pass_through_their_points():
    ax = accuracy_curves(
        [1, 10], {"layer 0": np.array([0.2, 0.6])}, baseline=0.7, xlabel="amount", graded=True
    )
    assert list(ax.lines[0].get_xdata()) == [1, 10]
    assert list(ax.lines[0].get_ydata()) == [20, 60]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "10"]
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "amount")


def test_scores_that_are_missing_leave_a_gap():
    ax = score_bars({"a": np.array([0.5, np.nan])}, groups=["x", "y"], ylabel="score")
    assert ax.patches[0].get_height() == 0.5
    assert np.isnan(ax.patches[1].get_height())


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: grouped_accuracy({"a": np.zeros(2)}, groups=["x"], baseline=0), "expected 1"),
        (lambda: score_bars({"a": np.zeros(2)}, groups=["x"], ylabel="s"), "expected 1"),
        (
            lambda: accuracy_curves([1], {"a": np.zeros(2)}, baseline=0, xlabel="x"),
            "expected 1",
        ),
        (lambda: accuracy_curves([0], {}, baseline=0, xlabel="x"), "positive places"),
    ],
)
def test_wrong_sizes_are_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_panels_share_a_figure():
    first, second = panels(4.0, 2.0, columns=2)
    assert figure_of(first) is figure_of(second)
