"""Table 3: how often each method's images fool the model, by pair, over repeats.

Source: arXiv 2406.04341, Sec. 5.2 and Table 3. Differs from the paper: rates of all images and of
verified images stand side by side, with Wilson intervals on the counts of all repeats.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from advgen.attack import CellResult
from advgen.records import Sample
from advgen.scoring import Rate, clusters, pool, wilson_interval

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


@dataclass(frozen=True, slots=True)
class Described:
    """A method's pooled rate when whole descriptions are drawn again.

    Images of one description are alike, so Wilson's interval, which takes each for a trial of its
    own, is too narrow.

    Attributes:
        rate: Share of verified images that fooled the model.
        interval: 95 % interval.
        images: Verified images.
        descriptions: Descriptions with a verified image.
        lead: Difference of the first method's rate and this one, with its 95 % interval; None for
            the first method itself.
    """

    rate: float
    interval: tuple[float, float]
    images: int
    descriptions: int
    lead: tuple[float, float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "rate": self.rate,
            "interval": list(self.interval),
            "images": self.images,
            "descriptions": self.descriptions,
            "lead": None if self.lead is None else list(self.lead),
        }


def by_description(samples: Iterable[Sample], method: str, seed: int = 0) -> dict[str, Described]:
    """Pooled rates of all methods over whole descriptions, and a method's lead over the others.

    Args:
        samples: Rows of a run; only verified ones count.
        method: Whose lead is wanted.
        seed: Of the resamples; every method draws its own.

    Returns:
        Method -> rate, in order of first appearance; methods without verified images are left out.
    """
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.verified:
            groups.setdefault(sample.method, []).append(sample)
    shares, found = {}, {}
    for place, (name, rows) in enumerate(groups.items()):
        fooled, cluster = clusters.by_description(rows)
        shares[name] = clusters.resampled_shares(fooled, cluster, seed + place)
        interval = clusters.cluster_interval(fooled, cluster, seed + place)
        found[name] = Described(float(fooled.mean()), interval, len(rows), len(set(cluster)), None)
    if method not in found:
        return found
    for name, described in found.items():
        if name != method:
            ends = clusters.difference_interval(shares[method], shares[name])
            lead = (found[method].rate - described.rate, *ends)
            found[name] = replace(described, lead=lead)
    return found


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
