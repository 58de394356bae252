"""The numbers of a report: rates with intervals per pair and method, and margins in bins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from advgen.plots import margin_edges
from advgen.records import Sample
from advgen.scoring import Rate, pool, wilson_interval
from advgen.scoring.clusters import by_description, cluster_interval

_AXIS_ENDS = (0.05, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A line of the results table; `repeat` is None where repeats are pooled."""

    repeat: int | None
    rate: Rate

    @property
    def unverified(self) -> tuple[float, float, float] | None:
        """Share of all images that fooled the model, with its interval; None without images."""
        return _estimate(self.rate.fooled, self.rate.images)

    @property
    def verified(self) -> tuple[float, float, float] | None:
        """Attack success rate with its interval; None when nothing was verified."""
        return _estimate(self.rate.fooled_verified, self.rate.verified)


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """The lines of one pair and method: the pooled one first when there are several repeats."""

    pair: str
    method: str
    rows: tuple[ResultRow, ...]

    @property
    def total(self) -> Rate:
        """Counts of all repeats."""
        return self.rows[0].rate


def result_groups(results: Iterable[Mapping[str, Any]]) -> list[ResultGroup]:
    """The results table, in order of first appearance."""
    cells: dict[tuple[str, str], list[ResultRow]] = {}
    for row in results:
        rate = Rate(row["images"], row["fooled"], row["verified"], row["fooled_verified"])
        cells.setdefault((str(row["pair"]), row["method"]), []).append(
            ResultRow(row["repeat"], rate)
        )
    groups = []
    for (pair, method), rows in cells.items():
        if len(rows) > 1:
            rows = [ResultRow(None, pool(row.rate for row in rows)), *rows]
        groups.append(ResultGroup(pair, method, tuple(rows)))
    return groups


def description_interval(samples: Sequence[Sample], method: str) -> tuple[float, float] | None:
    """95 % interval of a method's success rate when whole descriptions are drawn again.

    Images of one description are alike, so it is wider than Wilson's; None without verified images.
    """
    fooled, cluster = by_description(sample for sample in samples if sample.method == method)
    return cluster_interval(fooled, cluster, seed=0) if len(fooled) else None


def nice_end(values: Iterable[float]) -> float:
    """Right end of a scale from 0 on which all the values (shares) fit; 1 for no values."""
    largest = max(values, default=1.0)
    return next((end for end in _AXIS_ENDS if end >= largest), 1.0)


def margin_panels(samples: Sequence[Sample]) -> dict[str, Any]:
    """Histograms of the margins per pair and method over common bins.

    Returns:
        `edges`, `tallest` (the largest count of a bin), `columns` (of the grid) and `cells`: per
        pair and method the counts of verified and unverified images, how many fooled the model,
        and the median margin.
    """
    rows: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        pair = f"{sample.true_class}:{sample.target_class}"
        rows.setdefault((pair, sample.method), []).append(sample)
    edges = margin_edges(np.array([sample.margin for sample in samples], dtype=float))
    cells = [_panel(pair, method, members, edges) for (pair, method), members in rows.items()]
    tallest = max((max(cell["totals"]) for cell in cells), default=1)
    methods = len({method for _, method in rows})
    columns = methods if methods in (2, 3, 4) else 3
    return {"edges": edges.tolist(), "tallest": tallest, "columns": columns, "cells": cells}


def _panel(pair: str, method: str, rows: list[Sample], edges: np.ndarray) -> dict[str, Any]:
    counts = {
        kind: np.histogram([row.margin for row in rows if row.verified is kind], edges)[0].tolist()
        for kind in (True, False)
    }
    return {
        "pair": pair,
        "method": method,
        "verified": counts[True],
        "unverified": counts[False],
        "totals": [a + b for a, b in zip(counts[True], counts[False], strict=True)],
        "above": sum(row.fooled for row in rows),
        "images": len(rows),
        "median": median(row.margin for row in rows),
    }


def _estimate(hits: int, trials: int) -> tuple[float, float, float] | None:
    if not trials:
        return None
    return (hits / trials, *wilson_interval(hits, trials))
