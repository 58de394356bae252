"""Figures of an evaluation: its records in, matplotlib axes out; the caller saves them.

Rates are drawn in percent. Nothing here touches pyplot.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from advgen.evaluate.robustness.results import Evaluation, TransferCell
from advgen.plots import TARGET_COLOR, TRUE_COLOR, margin_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE, LINES = 20, 3
"""Letters in a line of a model's name, and lines of it, in figures."""
_GREY = "#57534e"
_NO_CELL = "#e7e5e0"
_LOW_COLOR = "#fff7ed"


def margin_distributions(evaluation: Evaluation, *, ax: Axes | None = None) -> Axes:
    """How sure each model is, one row per model: a histogram of its margins, with its median.

    All rows share their bins, one edge of which is 0, and the heights are shares of that model's
    images. Cosines of different models have different spreads: compare sides, not widths.

    Args:
        evaluation: What was found.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes; `axes.figure.savefig(...)` writes it.
    """
    models = evaluation.models
    ax = ax if ax is not None else _new_axes(7.2, 1.3 + 0.62 * max(1, len(models)))
    margins = [np.asarray(model.margins, dtype=float) for model in models]
    edges = margin_edges(np.concatenate([np.zeros(0), *margins]), bins=40)
    shares = [_shares(values, edges) for values in margins]
    tallest = max((float(share.max(initial=0.0)) for share in shares), default=0.0) or 1.0
    fooled = edges[:-1] >= -1e-12
    for row, (values, share) in enumerate(zip(margins, shares, strict=True)):
        for side, color in ((~fooled, TRUE_COLOR), (fooled, TARGET_COLOR)):
            ax.bar(
                edges[:-1][side],
                -0.8 * share[side] / tallest,  # upwards, since the first model is on top
                np.diff(edges)[side],
                bottom=row,
                align="edge",
                color=color,
            )
        ax.axhline(row, color=_GREY, linewidth=0.6)
        if len(values):
            median = float(np.median(values))
            ax.plot([median] * 2, [row + 0.02, row + 0.16], color="black", linewidth=2)
    ax.axvline(0.0, color="black", linewidth=0.8)
    for label, color in (
        ("taken for the true class", TRUE_COLOR),
        ("taken for the target class", TARGET_COLOR),
        ("median", "black"),
    ):
        ax.plot([], [], color=color, linewidth=5 if color != "black" else 2, label=label)
    ax.set_yticks(range(len(models)), [figure_name(model.name) for model in models])
    ax.set_ylim(len(models) - 0.65, -1.0)
    ax.set_xlabel("margin: cos(target) − cos(true)")
    _legend_above(ax)
    ax.spines[["left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def transfer_heatmap(evaluation: Evaluation, *, ax: Axes | None = None) -> Axes:
    """Images made against one model shown to another: success, 95 % Wilson interval, images.

    Args:
        evaluation: What was found.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes; a cell without images is grey.
    """
    attacked = list(dict.fromkeys(cell.attacked for cell in evaluation.transfer))
    evaluated = list(dict.fromkeys(cell.evaluated for cell in evaluation.transfer))
    cells = {(cell.attacked, cell.evaluated): cell for cell in evaluation.transfer}
    ax = (
        ax
        if ax is not None
        else _new_axes(2.6 + 1.5 * max(1, len(evaluated)), 1.9 + 0.75 * max(1, len(attacked)))
    )
    rates = np.full((len(attacked), len(evaluated)), np.nan)
    for row, one in enumerate(attacked):
        for column, other in enumerate(evaluated):
            text, share = _cell(cells.get((one, other)))
            rates[row, column] = np.nan if share is None else share
            color = "white" if share is not None and share > 0.55 else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize="small", color=color)
    if rates.size:
        ax.imshow(100 * rates, cmap=_rate_colors(), vmin=0.0, vmax=100.0, aspect="auto")
    ax.set_xticks(range(len(evaluated)), [figure_name(name) for name in evaluated])
    ax.set_yticks(range(len(attacked)), [figure_name(name) for name in attacked])
    ax.tick_params(length=0, labelsize="small")
    ax.set_xlabel("evaluated model")
    ax.set_ylabel("attacked model")
    ax.set_title("attack success rate (%), 95 % Wilson interval", fontsize="medium")
    ax.spines[:].set_visible(False)
    return ax


def success_bars(evaluation: Evaluation, *, ax: Axes | None = None) -> Axes:
    """Per model: how often it is fooled, beside its accuracy on clean images where that is known.

    Bars are rates, thick whiskers 95 % Wilson intervals; the thin whisker of the success is the
    interval when whole descriptions are drawn again.

    Args:
        evaluation: What was found.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.
    """
    models = evaluation.models
    with_clean = any(model.clean and model.clean.verified for model in models)
    ax = ax if ax is not None else _new_axes(7.2, 1.2 + 0.6 * max(1, len(models)))
    height = 0.36 if with_clean else 0.56
    for row, model in enumerate(models):
        place = row - (0.2 if with_clean else 0.0)
        _bar(ax, place, height, model.success, TARGET_COLOR, model.sentence_interval)
        if model.clean is not None:
            _bar(ax, row + 0.2, height, model.clean, TRUE_COLOR, None)
    named = [("attack success rate", TARGET_COLOR)]
    named += [("accuracy on clean images", TRUE_COLOR)] if with_clean else []
    for label, color in named:
        ax.bar(0, 0, color=color, label=label)
    ax.set_yticks(range(len(models)), [figure_name(model.name) for model in models])
    ax.set_ylim(len(models) - 0.45, -0.55)
    ax.set_xlim(0.0, 100.0)
    ax.set_xlabel("% of images (thick: 95 % Wilson; thin: over descriptions)")
    ax.grid(axis="x", alpha=0.25)
    ax.set_axisbelow(True)
    _legend_above(ax)
    return ax


def figure_name(name: str) -> str:
    """A model's name in short lines, with nothing that matplotlib reads as mathematics.

    Lines end after a mark where that is possible; of a long name the end is kept.
    """
    lines = [""]
    for part in re.findall(rf"[^/:@_-]{{1,{LINE}}}[/:@_-]?|[/:@_-]", name):
        if lines[-1] and len(lines[-1] + part) > LINE:
            lines.append("")
        lines[-1] += part
    if len(lines) > LINES:
        lines = ["…" + lines[-LINES], *lines[1 - LINES :]]
    return "\n".join(lines).replace("$", r"\$")


def _bar(
    ax: Axes, y: float, height: float, rate, color: str, wide: tuple[float, float] | None
) -> None:
    share, interval = rate.attack_success_rate, rate.interval
    if share is None:
        ax.text(1.0, y, "no images", va="center", fontsize="small", color=color)
        return
    ax.barh(y, 100 * share, height, color=color, alpha=0.55)
    if wide is not None:
        ax.plot([100 * wide[0], 100 * wide[1]], [y, y], color="black", linewidth=0.8)
    ax.plot([100 * interval[0], 100 * interval[1]], [y, y], color=color, linewidth=3.2)
    ax.plot([100 * share], [y], "o", ms=4, color="black", clip_on=False)


def _shares(
    values: Float[np.ndarray, " row"], edges: Float[np.ndarray, " edge"]
) -> Float[np.ndarray, " bin"]:
    counts, _ = np.histogram(values, edges)
    return counts / max(1, len(values))


def _cell(cell: TransferCell | None) -> tuple[str, float | None]:
    rate = cell.success if cell is not None else None
    if rate is None or rate.interval is None or rate.attack_success_rate is None:
        return "no images", None
    low, high = (100 * end for end in rate.interval)
    share = rate.attack_success_rate
    return f"{100 * share:.1f} %\n{low:.1f} to {high:.1f}\nn = {rate.verified}", share


def _rate_colors():
    from matplotlib.colors import LinearSegmentedColormap

    ends = [_LOW_COLOR, TARGET_COLOR, "#7c2d12"]
    return LinearSegmentedColormap.from_list("rate", ends).with_extremes(bad=_NO_CELL)


def _legend_above(ax: Axes) -> None:
    ax.legend(
        frameon=False,
        ncols=3,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        fontsize="small",
        handlelength=1.2,
    )
    ax.spines[["top", "right"]].set_visible(False)


def _new_axes(width: float, height: float) -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").subplots()
