"""Rates per cell, as the command line and the report show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from advgen.records import Sample
from advgen.scoring import Rate, pool, success_rate


@dataclass(frozen=True, slots=True)
class CellResult:
    """The rate of one pair with one method in one repeat."""

    pair: str
    method: str
    repeat: int
    rate: Rate

    def to_json(self) -> dict[str, Any]:
        """The row that `advgen attack --json` prints."""
        interval = self.rate.interval
        return {
            "pair": self.pair,
            "method": self.method,
            "repeat": self.repeat,
            "images": self.rate.images,
            "fooled": self.rate.fooled,
            "verified": self.rate.verified,
            "fooled_verified": self.rate.fooled_verified,
            "attack_success_rate": self.rate.attack_success_rate,
            "interval": list(interval) if interval is not None else None,
        }


def results_of(samples: Iterable[Sample]) -> list[CellResult]:
    """One result per pair, method and repeat, in order of first appearance."""
    groups: dict[tuple[str, str, int], list[Sample]] = {}
    for sample in samples:
        key = (f"{sample.true_class}:{sample.target_class}", sample.method, sample.repeat)
        groups.setdefault(key, []).append(sample)
    return [CellResult(*key, success_rate(rows)) for key, rows in groups.items()]


def pooled(results: Iterable[CellResult]) -> dict[str, Rate]:
    """Counts per method over all pairs and repeats."""
    rates: dict[str, list[Rate]] = {}
    for result in results:
        rates.setdefault(result.method, []).append(result.rate)
    return {method: pool(found) for method, found in rates.items()}
