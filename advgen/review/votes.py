"""What a reviewer says of an image, and what several of them say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advgen.decisions import Opinion, Status
from advgen.errors import DataError

REASONS = ("broken", "unclear", "offensive", "duplicate", "other")
"""Why an image can be turned down whatever it shows."""
MAX_NAME, MAX_NOTE, MAX_TOKEN = 64, 1000, 64
"""Longest reviewer's name, note and token, in characters."""


class UnknownItem(DataError):
    """An item was asked for that is not in the review."""


class VoteRefused(DataError):
    """A vote was sent that cannot be kept as it is."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer of one reviewer on one item.

    Attributes:
        id: Number of the vote, growing.
        item_id: Of the item.
        reviewer: Who voted.
        true_visible: Whether the true class is visible; None: cannot tell.
        target_visible: Whether the target class is visible; None: cannot tell.
        reasons: Why the image is turned down beyond that, out of `REASONS`.
        note: Free text.
        at: When, ISO 8601 in UTC.
        withdrawn: Whether it was undone.
    """

    id: int
    item_id: str
    reviewer: str
    true_visible: bool | None
    target_visible: bool | None
    reasons: tuple[str, ...] = ()
    note: str = ""
    at: str = ""
    withdrawn: bool = False

    @property
    def status(self) -> Status:
        """What the vote says of the image as a whole."""
        if self.reasons or self.true_visible is False or self.target_visible is True:
            return "rejected"
        return "accepted" if self.true_visible and self.target_visible is False else "unsure"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reviewer is: `done` of `total` items that are asked of them."""

    done: int
    total: int


def opinion(vote: Vote) -> Opinion:
    """A vote as what `advgen.decisions.decide` counts."""
    return Opinion(
        status=vote.status,
        true_visible=vote.true_visible,
        target_visible=vote.target_visible,
        reasons=vote.reasons,
        reviewers=(vote.reviewer,),
    )


def checked_reviewer(name: str) -> str:
    """A reviewer's name with its spaces tidied.

    Raises:
        VoteRefused: If it is empty, too long or has characters that cannot be printed.
    """
    tidy = " ".join(name.split())
    if not tidy or len(tidy) > MAX_NAME or not tidy.isprintable():
        raise VoteRefused(f"a reviewer's name has 1 to {MAX_NAME} printable characters")
    return tidy


def checked_reasons(reasons: Sequence[str]) -> tuple[str, ...]:
    """Reasons in the order of `REASONS`, each once.

    Raises:
        VoteRefused: If one is none of `REASONS`.
    """
    for reason in reasons:
        if reason not in REASONS:
            raise VoteRefused(f"'{reason}' is no reason; one of {', '.join(REASONS)}")
    return tuple(reason for reason in REASONS if reason in reasons)


def check_texts(note: str, token: str) -> None:
    """Check the free text and the idempotency key of a vote.

    Raises:
        VoteRefused: If the note is too long, or the token is empty or too long.
    """
    if len(note) > MAX_NOTE:
        raise VoteRefused(f"a note has at most {MAX_NOTE} characters; this one has {len(note)}")
    if not 1 <= len(token) <= MAX_TOKEN:
        raise VoteRefused(f"a token has 1 to {MAX_TOKEN} characters")
