"""One thing that was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: `ok`, `warn` (it may go wrong) or `fail` (the attack cannot run).
        message: What was found, in one line.
        todo: What to do about it; empty when there is nothing to do.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    message: str
    todo: str = ""


def passed(checks: Iterable[Check]) -> bool:
    """Whether no check failed."""
    return all(check.state != "fail" for check in checks)
