"""What a check of a dataset found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["ok", "failed", "not checked"]
SHOWN = 5
"""Faults that are spelt out; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        check: What was looked at.
        outcome: `ok`, `failed`, or `not checked` with the reason.
        detail: What was found, in one line.
    """

    check: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of a dataset."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """True when nothing failed."""
        return all(finding.outcome != "failed" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The checks as plain JSON."""
        rows = [
            {"check": found.check, "outcome": found.outcome, "detail": found.detail}
            for found in self.findings
        ]
        return {"passed": self.passed, "checks": rows}


def finding(check: str, faults: list[str], fine: str) -> Finding:
    """A check that failed if there are faults; the first few are spelt out."""
    if not faults:
        return Finding(check, "ok", fine)
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Finding(check, "failed", "; ".join(faults[:SHOWN]) + more)
