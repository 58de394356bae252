"""Judges that look at finished images, what they wrote down, and when they are believed."""

from advgen.judging.audit import Audit, Case, Share, audit, audit_sample
from advgen.judging.policy import Policy, Threshold, Verification, own_judgement, verify
from advgen.judging.tally import read_cases

__all__ = [
    "Audit",
    "Case",
    "Policy",
    "Share",
    "Threshold",
    "Verification",
    "audit",
    "audit_sample",
    "own_judgement",
    "read_cases",
    "verify",
]
