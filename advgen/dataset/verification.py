"""What judges and people said of the images of a run, as the structs of a released row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advgen.decisions import Decision, Judgement, read_decisions, read_judgements
from advgen.generation.layout import RunLayout
from advgen.judging.policy import Policy, Verification, own_judgement, verify
from advgen.records import Sample


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of one image, and the answers it rests on.

    Attributes:
        verification: What follows from the answers.
        judgements: Of judges, by name.
        decision: Of people, or None.
    """

    verification: Verification
    judgements: tuple[Judgement, ...]
    decision: Decision | None

    @property
    def accepted(self) -> bool:
        """Whether the image may be released as verified."""
        return self.verification.status == "accepted"

    def verification_struct(self, sample: Sample) -> dict[str, Any]:
        """The struct `verification` of a row; the probabilities are those of the attack's judge."""
        answers = [
            {
                "name": row.judge,
                "revision": row.revision,
                "p_true_present": row.p_true_present,
                "p_target_absent": row.p_target_absent,
            }
            for row in self.judgements
        ]
        return {
            "status": self.verification.status,
            "by": ", ".join(self.verification.by),
            "reason": self.verification.reason,
            "judges": answers,
            "p_true_present": sample.p_true_present,
            "p_target_absent": sample.p_target_absent,
        }

    def review_struct(self) -> dict[str, Any]:
        """The struct `review` of a row."""
        if self.decision is None:
            return {"status": None, "votes": 0, "agreement": None}
        found = self.decision
        return {"status": found.status, "votes": found.votes, "agreement": found.agreement}


@dataclass(frozen=True, slots=True)
class Bench:
    """All who looked at the images of a run.

    Attributes:
        policy: When judges are believed.
        judgements: By id of the sample.
        decisions: By id of the sample.
    """

    policy: Policy
    judgements: dict[str, list[Judgement]]
    decisions: dict[str, list[Decision]]

    def see(self, sample: Sample) -> Held:
        """What is held of an image; answers about other bytes under its name are passed over."""
        own = own_judgement(sample)
        said = {own.judge: own} if own is not None else {}
        for row in self.judgements.get(sample.id, ()):
            if row.sha256 == sample.sha256:
                said[row.judge] = row
        decided = [row for row in self.decisions.get(sample.id, ()) if row.sha256 == sample.sha256]
        decision = decided[-1] if decided else None
        judgements = tuple(said[name] for name in sorted(said))
        return Held(verify(sample, judgements, decision, self.policy), judgements, decision)


def open_bench(layout: RunLayout, policy: Policy, decisions: Sequence[Path] = ()) -> Bench:
    """Read what was said of a run's images.

    Args:
        layout: The run; its own `judgements/*.jsonl` and `decisions.jsonl` are read if there.
        policy: When judges are believed.
        decisions: More files of decisions; the last word on an image counts.

    Raises:
        DataError: If a file cannot be read or a line is malformed.
    """
    judged: dict[str, list[Judgement]] = {}
    for path in sorted(layout.judgements.glob("*.jsonl")):
        for row in read_judgements(path):
            judged.setdefault(row.id, []).append(row)
    decided: dict[str, list[Decision]] = {}
    own = [layout.decisions] if layout.decisions.is_file() else []
    for path in [*own, *decisions]:
        for row in read_decisions(path):
            decided.setdefault(row.id, []).append(row)
    return Bench(policy, judged, decided)
