"""Rates over many images, with intervals that hold for small counts."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from advgen.records import Sample


@dataclass(frozen=True, slots=True)
class Rate:
    """How often an attack worked.

    Attributes:
        images: Images drawn and scored.
        fooled: Those with a positive margin.
        verified: Those in which the judge saw the true class and no target class.
        fooled_verified: Those that are both.
    """

    images: int
    fooled: int
    verified: int
    fooled_verified: int

    @property
    def attack_success_rate(self) -> float | None:
        """Share of verified images that fooled the model; None when none was verified."""
        return self.fooled_verified / self.verified if self.verified else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson interval of `attack_success_rate`; None when none was verified."""
        return wilson_interval(self.fooled_verified, self.verified) if self.verified else None

    def __add__(self, other: Rate) -> Rate:
        """Pooled counts."""
        return Rate(
            self.images + other.images,
            self.fooled + other.fooled,
            self.verified + other.verified,
            self.fooled_verified + other.fooled_verified,
        )


def pool(rates: Iterable[Rate]) -> Rate:
    """The counts of all rates together; no rate gives zero counts."""
    return functools.reduce(Rate.__add__, rates, Rate(0, 0, 0, 0))


def success_rate(samples: Iterable[Sample]) -> Rate:
    """Counts over the samples.

    Differs from the paper: there people removed images that show the target class or lack the true
    class before counting; here both counts are kept, and the success rate is that of verified
    images.
    """
    rows = list(samples)
    return Rate(
        images=len(rows),
        fooled=sum(row.fooled for row in rows),
        verified=sum(row.verified for row in rows),
        fooled_verified=sum(row.fooled and row.verified for row in rows),
    )


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a binomial proportion (Wilson, JASA 22, 1927).

    `(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`, cut to [0, 1].

    Raises:
        ValueError: If there is no trial, or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"expected 0 <= successes <= trials and trials >= 1, got {successes}/{trials}"
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if successes == trials else min(1.0, (centre + spread) / scale)
    return low, high
