"""Table 3: how often each method's images fool the model, by pair, over repeats.

Source: arXiv 2406.04341, Sec. 5.2 and Table 3. Differs from the paper: rates of all images and of
verified images stand side by side, with Wilson intervals on the counts of all repeats.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from advgen.attack import CellResult
from advgen.scoring import Rate, pool, wilson_interval

POOLED = "pooled"
"""Stands for all pairs together."""

Comparison = Literal["above", "below", "overlap", "no images"]


@dataclass(frozen=True, slots=True)
class Spread:
    """A rate over repeats and in all.

    Attributes:
        repeats: The rate of each repeat in [0, 1]; None where a repeat has no image to count.
        counted: Images that fooled the model, in all repeats.
        images: Images that count, in all repeats.
    """

    repeats: tuple[float | None, ...]
    counted: int
    images: int

    @property
    def mean(self) -> float | None:
        """Mean over the repeats that have images."""
        known = [rate for rate in self.repeats if rate is not None]
        return statistics.fmean(known) if known else None

    @property
    def std(self) -> float | None:
        """Standard deviation over the repeats (n - 1); None for fewer than two."""
        known = [rate for rate in self.repeats if rate is not None]
        return statistics.stdev(known) if len(known) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson interval of the pooled counts; None without images."""
        return wilson_interval(self.counted, self.images) if self.images else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "mean": self.mean,
            "std": self.std,
            "repeats": list(self.repeats),
            "fooled": self.counted,
            "images": self.images,
            "interval": None if self.interval is None else list(self.interval),
        }


@dataclass(frozen=True, slots=True)
class Success:
    """One cell of the table.

    Attributes:
        unverified: Over all images that were drawn.
        verified: Over images that show the true class and not the target class.
    """

    unverified: Spread
    verified: Spread

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"unverified": self.unverified.to_json(), "verified": self.verified.to_json()}


def success_table(results: Iterable[CellResult]) -> dict[str, dict[str, Success]]:
    """Method -> pair (and `POOLED`) -> success, in order of first appearance.

    A pooled repeat is all images of that repeat together, not the mean of its pairs.
    """
    groups: dict[str, dict[str, dict[int, list[Rate]]]] = {}
    for result in results:
        rows = groups.setdefault(result.method, {})
        for name in (result.pair, POOLED):
            rows.setdefault(name, {}).setdefault(result.repeat, []).append(result.rate)
    table: dict[str, dict[str, Success]] = {}
    for method, rows in groups.items():
        names = [name for name in rows if name != POOLED] + [POOLED]
        table[method] = {
            name: _success([pool(rates) for rates in rows[name].values()]) for name in names
        }
    return table


def compare(ours: Spread, theirs: Spread) -> Comparison:
    """Whether the interval of one rate lies above that of another, below, or overlaps it."""
    one, other = ours.interval, theirs.interval
    if one is None or other is None:
        return "no images"
    if one[0] > other[1]:
        return "above"
    return "below" if one[1] < other[0] else "overlap"


def comparisons(
    table: Mapping[str, Mapping[str, Success]], method: str, *, verified: bool
) -> dict[str, Comparison]:
    """How a method's pooled rate stands to that of every other method."""

    def spread(name: str) -> Spread:
        success = table[name][POOLED]
        return success.verified if verified else success.unverified

    return {other: compare(spread(method), spread(other)) for other in table if other != method}


def _success(repeats: Sequence[Rate]) -> Success:
    return Success(
        unverified=_spread([(rate.fooled, rate.images) for rate in repeats]),
        verified=_spread([(rate.fooled_verified, rate.verified) for rate in repeats]),
    )


def _spread(counts: Sequence[tuple[int, int]]) -> Spread:
    return Spread(
        tuple(fooled / images if images else None for fooled, images in counts),
        sum(fooled for fooled, _ in counts),
        sum(images for _, images in counts),
    )
