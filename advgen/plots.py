"""Figures of an attack and of neurons: arrays in, matplotlib axes out; the caller saves them.

Nothing here touches pyplot, so a figure never outlives its caller and no display is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from advgen.scoring import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TARGET_COLOR = "#c2410c"
"""The target class, in every figure and in the report: what the attacked model is led to say."""
TRUE_COLOR = "#0e7490"
"""The true class: what is drawn."""
BASELINE_COLORS = ("#57534e", "#8a857d", "#b5b0a7")
"""Methods that are compared with the first one."""

_MARKERS = ("o", "s", "D", "^", "v", "P")
_UNVERIFIED_ALPHA = 0.35


def margin_edges(
    margins: Float[np.ndarray, " image"], bins: int = 24
) -> Float[np.ndarray, " edge"]:
    """Edges of about `bins` equal bins over all margins, one of them exactly at 0.

    A bin thus never holds both images that fooled the model and images that did not, but for a
    margin of exactly 0, which falls to the right.

    Raises:
        ValueError: If fewer than two bins are asked for or a margin is not finite.
    """
    if bins < 2:
        raise ValueError(f"expected at least 2 bins, got {bins}")
    if not np.isfinite(margins).all():
        raise ValueError("expected finite margins, got NaN or infinity among them")
    low = min(0.0, float(np.min(margins, initial=0.0)))
    high = max(0.0, float(np.max(margins, initial=0.0)))
    width = (high - low) / bins or 0.01
    first = np.floor(round(low / width, 9)) if low else -1.0
    last = np.ceil(round(high / width, 9)) if high else 1.0
    return np.arange(first, last + 1) * width


def margin_histogram(
    margins: Float[np.ndarray, " image"],
    *,
    verified: Bool[np.ndarray, " image"] | None = None,
    bins: int = 24,
    ax: Axes | None = None,
) -> Axes:
    """How far the images are from the decision boundary, and on which side of it.

    Args:
        margins: cos(target) - cos(true) per image, in [-2, 2]; above 0 the model is fooled.
        verified: True for images that passed the judge; the others are drawn lighter.
        bins: About how many bins the range is cut into.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes; `axes.figure.savefig(...)` writes it.

    Raises:
        ValueError: If `verified` has another length than `margins`.
    """
    from matplotlib.ticker import MaxNLocator

    margins = np.asarray(margins, dtype=float)
    passed = (
        np.ones(len(margins), dtype=bool) if verified is None else np.asarray(verified, dtype=bool)
    )
    if len(passed) != len(margins):
        raise ValueError(f"expected {len(margins)} values in `verified`, got {len(passed)}")
    ax = ax if ax is not None else _new_axes(5.4, 3.0)
    edges = margin_edges(margins, bins)
    fooled = edges[:-1] >= -1e-12
    solid, _ = np.histogram(margins[passed], edges)
    light, _ = np.histogram(margins[~passed], edges)
    for side, color, name in (
        (~fooled, TRUE_COLOR, "taken for the true class"),
        (fooled, TARGET_COLOR, "taken for the target class"),
    ):
        place = {
            "x": edges[:-1][side],
            "width": np.diff(edges)[side],
            "align": "edge",
            "color": color,
        }
        ax.bar(height=solid[side], label=name, **place)
        ax.bar(height=light[side], bottom=solid[side], alpha=_UNVERIFIED_ALPHA, **place)
    ax.axvline(0.0, color="black", linewidth=0.8)
    ax.set_xlabel("margin: cos(target) − cos(true)")
    ax.set_ylabel("images" if verified is None else "images (light: not verified)")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    _quiet(ax)
    return ax


def success_rates(
    fooled: Int[np.ndarray, "pair method"],
    verified: Int[np.ndarray, "pair method"],
    *,
    pairs: Sequence[str],
    methods: Sequence[str],
    ax: Axes | None = None,
) -> Axes:
    """Attack success rate per pair and method with 95 % Wilson intervals.

    Args:
        fooled: Images that are verified and fooled the model.
        verified: Images that are verified; where there is none the text `none verified` stands.
        pairs: Names of the rows (top to bottom in the figure).
        methods: Names of the columns; the first has the target colour, the others greys.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        ValueError: If the shapes are not [len(pairs), len(methods)].
    """
    fooled, verified = np.asarray(fooled), np.asarray(verified)
    expected = (len(pairs), len(methods))
    if fooled.shape != expected or verified.shape != expected:
        raise ValueError(
            f"expected counts of shape {expected}, got {fooled.shape} and {verified.shape}"
        )
    ax = (
        ax
        if ax is not None
        else _new_axes(5.8, 0.9 + 0.26 * max(1, fooled.size) + 0.2 * len(pairs))
    )
    for column, method in enumerate(methods):
        color = (
            TARGET_COLOR if column == 0 else BASELINE_COLORS[(column - 1) % len(BASELINE_COLORS)]
        )
        offset = 0.7 * ((column + 0.5) / len(methods) - 0.5)
        _rate_points(
            ax, fooled[:, column], verified[:, column], offset, color, _MARKERS[column % 6]
        )
        ax.plot([], [], _MARKERS[column % 6], color=color, label=method)
    ax.set_yticks(range(len(pairs)), [name.replace(":", " → ", 1) for name in pairs])
    ax.set_ylim(len(pairs) - 0.5, -0.5)
    ax.set_xlim(left=0.0)
    ax.set_xlabel("attack success rate of verified images (%), 95 % Wilson interval")
    if len(methods) > 1:
        ax.legend(frameon=False)
    ax.grid(axis="x", alpha=0.25)
    ax.set_axisbelow(True)
    _quiet(ax)
    return ax


def norm_edges(
    norms: Float[np.ndarray, " image"], threshold: float, bins: int = 24
) -> Float[np.ndarray, " edge"]:
    """Edges of about `bins` equal bins from 0 over all norms, one of them exactly at `threshold`.

    Raises:
        ValueError: If there are fewer than two bins or a number is negative or not finite.
    """
    if bins < 2:
        raise ValueError(f"expected at least 2 bins, got {bins}")
    high = max(float(np.max(norms, initial=0.0)), threshold)
    if not np.isfinite(high) or np.min(norms, initial=threshold) < 0:
        raise ValueError("expected finite norms of at least 0 and such a threshold")
    if not high:
        return np.array([0.0, 1.0])
    if not threshold:
        return np.linspace(0.0, high, bins + 1)
    below = max(1, round(bins * threshold / high))
    above = int(np.ceil(round((high - threshold) / threshold * below, 9)))
    edges = np.arange(below + above + 1) * (threshold / below)
    edges[below] = threshold
    edges[-1] = max(edges[-1], high)
    return edges


def norm_histogram(
    norms: Float[np.ndarray, " image"],
    *,
    threshold: float,
    bins: int = 24,
    ax: Axes | None = None,
) -> Axes:
    """How large a neuron's second-order effects are, and which of them count as large.

    Args:
        norms: Norm of the neuron's centred effect per image, in units of the image embedding.
        threshold: Bound between small and large effects; images at or above it are highlighted.
        bins: About how many bins the range is cut into.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        ValueError: See `norm_edges`.
    """
    norms = np.asarray(norms, dtype=float)
    ax = ax if ax is not None else _new_axes(5.4, 3.0)
    edges = norm_edges(norms, threshold, bins)
    counts, _ = np.histogram(norms, edges)
    large = edges[:-1] >= threshold
    for side, color, name in (
        (~large, BASELINE_COLORS[2], "small effects"),
        (large, TARGET_COLOR, "large effects"),
    ):
        ax.bar(
            edges[:-1][side],
            counts[side],
            np.diff(edges)[side],
            align="edge",
            color=color,
            label=name,
            log=True,
        )
    ax.axvline(threshold, color="black", linewidth=0.8)
    ax.set_xlim(left=0.0)
    ax.set_xlabel("norm of the centred second-order effect")
    ax.set_ylabel("images (log scale)")
    ax.legend(frameon=False)
    _quiet(ax)
    return ax


def _rate_points(
    ax: Axes,
    fooled: Int[np.ndarray, " pair"],
    verified: Int[np.ndarray, " pair"],
    offset: float,
    color: str,
    marker: str,
) -> None:
    for row, (hits, trials) in enumerate(zip(fooled.tolist(), verified.tolist(), strict=True)):
        y = row + offset
        if not trials:
            ax.text(0.0, y, " none verified", va="center", fontsize="small", color=color)
            continue
        low, high = wilson_interval(hits, trials)
        ax.plot([100 * low, 100 * high], [y, y], color=color, linewidth=2, alpha=0.6)
        ax.plot([100 * hits / trials], [y], marker, color=color, clip_on=False)


def _new_axes(width: float, height: float) -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").subplots()


def _quiet(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
