"""Counts of a build: per pair, by status, by reason of being left out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from advgen.dataset.verification import Held
from advgen.judging.audit import Case, audit
from advgen.judging.policy import Policy, is_exact
from advgen.records import Sample
from advgen.scoring import Rate


@dataclass
class Tally:
    """What a build saw, counted image by image.

    Attributes:
        pairs: `true:target` -> counts over all images of the runs, released or not.
        released: `true:target` -> rows of the dataset.
        released_fooled: `true:target` -> those of them that fooled the attacked model.
        statuses: Verification status -> images of the runs.
        released_statuses: Verification status -> rows of the dataset.
        by: Who settled it -> rows of the dataset.
        dropped: Reason -> images left out.
        reviewed: Rows that people decided on.
        agreement: Sum of their reviewers' agreement.
        cases: Images that judges who guess have looked at, for their audit; without long texts.
    """

    pairs: dict[str, Rate] = field(default_factory=dict)
    released: Counter[str] = field(default_factory=Counter)
    released_fooled: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    released_statuses: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    reviewed: int = 0
    agreement: float = 0.0
    cases: list[Case] = field(default_factory=list)

    def see(self, sample: Sample, held: Held) -> None:
        """Count an image of a run."""
        pair = f"{sample.true_class}:{sample.target_class}"
        own = Rate(1, int(sample.fooled), int(held.accepted), int(sample.fooled and held.accepted))
        self.pairs[pair] = self.pairs.get(pair, Rate(0, 0, 0, 0)) + own
        self.statuses[held.verification.status] += 1
        if not all(is_exact(row.judge) for row in held.judgements):
            short = dataclasses.replace(sample, truth="", description="", words=(), undrawn=())
            self.cases.append(Case(short, held.judgements, held.decision))

    def drop(self, reason: str) -> None:
        """Count an image that is left out."""
        self.dropped[reason] += 1

    def release(self, sample: Sample, held: Held) -> None:
        """Count a row of the dataset."""
        pair = f"{sample.true_class}:{sample.target_class}"
        self.released[pair] += 1
        self.released_fooled[pair] += int(sample.fooled)
        self.released_statuses[held.verification.status] += 1
        self.by[", ".join(held.verification.by) or "nobody"] += 1
        if held.decision is not None:
            self.reviewed += 1
            self.agreement += held.decision.agreement

    def to_json(self, policy: Policy) -> dict[str, Any]:
        """The counts as they stand in `build.json`, with the audit of judges that guess."""
        return {
            "audit": audit(self.cases, policy).to_json() if self.cases else None,
            "seen": sum(self.statuses.values()),
            "rows": sum(self.released.values()),
            "dropped": dict(sorted(self.dropped.items())),
            "statuses": dict(sorted(self.statuses.items())),
            "released_statuses": dict(sorted(self.released_statuses.items())),
            "verified_by": dict(sorted(self.by.items())),
            "reviewed": self.reviewed,
            "mean_agreement": self.agreement / self.reviewed if self.reviewed else None,
            "pairs": {
                pair: {
                    **dataclasses.asdict(rate),
                    "released": self.released[pair],
                    "released_fooled": self.released_fooled[pair],
                }
                for pair, rate in self.pairs.items()
            },
        }
