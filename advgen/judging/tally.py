"""What all judges and people said of a run, counted."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from advgen.attack.records_file import read_records
from advgen.decisions import Judgement, read_decisions
from advgen.generation.layout import RunLayout
from advgen.judging.audit import Audit, Case, audit
from advgen.judging.judgement_file import read_written
from advgen.judging.policy import (
    Policy,
    VerificationStatus,
    answers,
    own_judgement,
    verify,
)

STATUSES: tuple[VerificationStatus, ...] = ("accepted", "rejected", "needs_review")


@dataclass(frozen=True, slots=True)
class JudgeCounts:
    """How one judge answered, by its thresholds.

    Attributes:
        judge: Its name.
        images: Images that it looked at.
        true_present: Those with the true class.
        target_absent: Those without the target class.
        both: Those that are both.
    """

    judge: str
    images: int
    true_present: int
    target_absent: int
    both: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over images.

    Attributes:
        images: How many there are.
        judges: By judge, in order of names.
        statuses: By what the policy and people hold of them.
        reasons: Reason -> images, of those that need review, the most frequent first.
        audit: Judges against people or the exact judge; None where there is nothing to compare.
    """

    images: int
    judges: tuple[JudgeCounts, ...]
    statuses: Mapping[VerificationStatus, int]
    reasons: Mapping[str, int]
    audit: Audit | None

    def to_json(self) -> dict[str, Any]:
        """The tally as plain JSON."""
        return {
            "images": self.images,
            "judges": [dataclasses.asdict(counts) for counts in self.judges],
            "statuses": dict(self.statuses),
            "reasons": dict(self.reasons),
            "audit": self.audit.to_json() if self.audit else None,
        }


def read_cases(layout: RunLayout) -> list[Case]:
    """Every image of a run with all that was said of it, in the order of the records.

    The attack's own judge is among the judges. What was said of other bytes is left out.

    Raises:
        RunError: If the run has no records.
        DataError: If a file of judgements or decisions is damaged.
    """
    samples = read_records(layout.records)
    said: dict[tuple[str, str], dict[str, Judgement]] = {}
    for sample in samples:
        own = own_judgement(sample)
        said[sample.id, sample.sha256] = {own.judge: own} if own else {}
    for path in sorted(layout.judgements.glob("*.jsonl")):
        for row in read_written(path):
            if (row.id, row.sha256) in said:
                said[row.id, row.sha256][row.judge] = row
    decisions = read_decisions(layout.decisions) if layout.decisions.is_file() else []
    decided = {(row.id, row.sha256): row for row in decisions}
    return [
        Case(
            sample,
            tuple(said[sample.id, sample.sha256].values()),
            decided.get((sample.id, sample.sha256)),
        )
        for sample in samples
    ]


def tally(cases: Sequence[Case], policy: Policy | None = None) -> Tally:
    """Count what was said of images, and what follows from it.

    Raises:
        ConfigError: If the policy has no thresholds for a judge.
    """
    policy = policy or Policy()
    held = [verify(case.sample, case.judgements, case.decision, policy) for case in cases]
    statuses = Counter(verification.status for verification in held)
    reasons = Counter(row.reason for row in held if row.status == "needs_review")
    checked = audit(cases, policy)
    return Tally(
        images=len(cases),
        judges=_judges(cases, policy),
        statuses={status: statuses[status] for status in STATUSES},
        reasons=dict(sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))),
        audit=checked if checked.questions else None,
    )


def _judges(cases: Sequence[Case], policy: Policy) -> tuple[JudgeCounts, ...]:
    said: dict[str, list[tuple[bool, bool]]] = {}
    for case in cases:
        for row in case.judgements:
            said.setdefault(row.judge, []).append(answers(row, policy))
    return tuple(
        JudgeCounts(
            judge=judge,
            images=len(rows),
            true_present=sum(present for present, _ in rows),
            target_absent=sum(absent for _, absent in rows),
            both=sum(present and absent for present, absent in rows),
        )
        for judge, rows in sorted(said.items())
    )
