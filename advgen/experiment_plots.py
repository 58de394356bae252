"""Figures of the paper's neuron experiments: arrays in, matplotlib axes out; the caller saves them.

Accuracies come in as shares and are drawn in percent. Nothing here touches pyplot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from advgen.experiments.mean_ablation import MeanAblation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE_COLOR = "#57534e"
SERIES_COLORS = ("#0e7490", "#c2410c", "#7c3aed", "#4d7c0f", "#b45309", "#be185d")
LAYER_MAP = "viridis"
_MARKERS = ("o", "s", "D", "^", "v", "P")


def ablation_bars(found: MeanAblation, *, ax: Axes | None = None) -> Axes:
    """Figs. 3 and 9: what is left of the accuracy, by layer and by kind of ablation.

    Args:
        found: What was measured.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.
    """
    names = {
        "ablated": "all ablated",
        "without_large": "large norms ablated",
        "without_small": "small norms ablated",
        "first_component": "first component kept",
    }
    return grouped_accuracy(
        {
            text: np.array([getattr(row, name) for row in found.rows])
            for name, text in names.items()
        },
        groups=[row.name for row in found.rows],
        baseline=found.baseline,
        ax=ax,
    )


def grouped_accuracy(
    accuracy: Mapping[str, Float[np.ndarray, " group"]],
    *,
    groups: Sequence[str],
    baseline: float,
    ax: Axes | None = None,
) -> Axes:
    """Bars of accuracy, one group per layer, one colour per variant, and the unablated level.

    Args:
        accuracy: Variant -> accuracy per group, in [0, 1].
        groups: Names of the groups, left to right.
        baseline: Unablated accuracy, in [0, 1].
        ax: Where to draw; None makes a figure.

    Returns:
        The axes; `axes.figure.savefig(...)` writes it.

    Raises:
        ValueError: If a variant has another number of values than there are groups.
    """
    ax = ax if ax is not None else new_axes(max(5.4, 1.6 + 0.85 * len(groups)), 3.6)
    places = np.arange(len(groups))
    width = 0.82 / max(1, len(accuracy))
    for number, (name, values) in enumerate(accuracy.items()):
        if len(values) != len(groups):
            raise ValueError(f"expected {len(groups)} values of '{name}'; got {len(values)}")
        offset = (number + 0.5) * width - 0.41
        color = SERIES_COLORS[number % len(SERIES_COLORS)]
        ax.bar(places + offset, 100 * np.asarray(values), width * 0.92, color=color, label=name)
    _baseline(ax, baseline)
    ax.set_xticks(places, [name.replace(" ", "\n", 1) for name in groups])
    ax.set_ylim(0.0, 100.0)
    _finish(ax, "zero-shot accuracy (%)", columns=3)
    return ax


def accuracy_curves(
    places: Sequence[float],
    accuracy: Mapping[str, Float[np.ndarray, " place"]],
    *,
    baseline: float,
    xlabel: str,
    ticks: Sequence[str] | None = None,
    graded: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Accuracy over an amount on a logarithmic axis, one line per series.

    Args:
        places: The amounts, positive.
        accuracy: Series -> accuracy per place, in [0, 1].
        baseline: Unablated accuracy, in [0, 1].
        xlabel: What the amount is, with its unit.
        ticks: Labels of the places; the numbers themselves by default.
        graded: Colour the series from dark to light, for layers in order.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        ValueError: If a series has another number of values than there are places, or a place is
            not positive.
    """
    from matplotlib import colormaps

    if min(places, default=1) <= 0:
        raise ValueError(f"expected positive places; got {list(places)}")
    ax = ax if ax is not None else new_axes(5.6, 3.6)
    shades = colormaps[LAYER_MAP](np.linspace(0.0, 0.85, max(1, len(accuracy))))
    for number, (name, values) in enumerate(accuracy.items()):
        if len(values) != len(places):
            raise ValueError(f"expected {len(places)} values of '{name}'; got {len(values)}")
        color = shades[number] if graded else SERIES_COLORS[number % len(SERIES_COLORS)]
        marker = _MARKERS[number % len(_MARKERS)]
        ax.plot(places, 100 * np.asarray(values), marker=marker, ms=4, color=color, label=name)
    _baseline(ax, baseline)
    ax.set_ylim(bottom=0.0)
    ax.set_xscale("log")
    ax.set_xticks(places, ticks or [f"{place:g}" for place in places])
    ax.minorticks_off()
    ax.set_xlabel(xlabel)
    _finish(ax, "zero-shot accuracy (%)", columns=3)
    return ax


def score_bars(
    scores: Mapping[str, Float[np.ndarray, " group"]],
    *,
    groups: Sequence[str],
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """Bars of a score in [-1, 1], one group per layer, one colour per kind of description.

    Args:
        scores: Kind -> score per group; NaN draws nothing.
        groups: Names of the groups, left to right.
        ylabel: What the score is.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        ValueError: If a kind has another number of values than there are groups.
    """
    ax = ax if ax is not None else new_axes(5.4, 3.2)
    places = np.arange(len(groups))
    width = 0.82 / max(1, len(scores))
    for number, (name, values) in enumerate(scores.items()):
        if len(values) != len(groups):
            raise ValueError(f"expected {len(groups)} values of '{name}'; got {len(values)}")
        offset = (number + 0.5) * width - 0.41
        color = SERIES_COLORS[number % len(SERIES_COLORS)]
        ax.bar(places + offset, np.asarray(values), width * 0.92, color=color, label=name)
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set_xticks(places, list(groups))
    _finish(ax, ylabel, columns=3)
    return ax


def new_axes(width: float, height: float) -> Axes:
    """Axes of a figure of its own, `width` x `height` inches."""
    return panels(width, height)[0]


def figure_of(ax: Axes) -> Figure:
    """The figure that axes of this room stand in."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("expected axes in a figure; got some in none")
    return figure


def panels(width: float, height: float, *, rows: int = 1, columns: int = 1) -> list[Axes]:
    """Axes in rows and columns of a figure of their own, `width` x `height` inches, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return list(figure.subplots(rows, columns, squeeze=False).flat)


def _baseline(ax: Axes, level: float) -> None:
    ax.axhline(
        100 * level, color=BASELINE_COLOR, linewidth=1.2, linestyle="--", label="not ablated"
    )


def _finish(ax: Axes, ylabel: str, *, columns: int) -> None:
    """Legend above the axes, quiet frame, light grid."""
    ax.set_ylabel(ylabel)
    ax.legend(
        frameon=False,
        ncols=columns,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        fontsize="small",
    )
    ax.grid(axis="y", alpha=0.25)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def layer_curves(
    accuracy: Mapping[str, Float[np.ndarray, " layer"]],
    *,
    baseline: float,
    xlabel: str = "layer l",
    ax: Axes | None = None,
) -> Axes:
    """Accuracy over the layers from 0 on, one line per series.

    Args:
        accuracy: Series -> accuracy per layer, in [0, 1].
        baseline: Unablated accuracy, in [0, 1].
        xlabel: What the number of a layer is.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        ValueError: If the series have different numbers of values.
    """
    lengths = {name: len(values) for name, values in accuracy.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected as many values in every series; got {lengths}")
    ax = ax if ax is not None else new_axes(5.6, 3.6)
    _baseline(ax, baseline)
    for number, (name, values) in enumerate(accuracy.items()):
        marker, color = _MARKERS[number % len(_MARKERS)], SERIES_COLORS[number % len(SERIES_COLORS)]
        size = max(4, 9 - 2 * number)  # series that coincide stay visible
        ax.plot(
            100 * np.asarray(values), marker=marker, ms=size, color=color, label=name, clip_on=False
        )
    ax.set_xticks(range(max(lengths.values(), default=0)))
    ax.set_ylim(0.0, 100.0)
    ax.set_xlabel(xlabel)
    _finish(ax, "zero-shot accuracy (%)", columns=2)
    return ax
