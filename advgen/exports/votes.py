"""What people said elsewhere, and the one decision per image that it comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from advgen import decisions
from advgen.decisions import Decision, Opinion, Status
from advgen.records import to_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """What was said of one image: by one person, or by several who had decided already.

    Attributes:
        id: Of the sample.
        sha256: Of the image that was looked at; None: not said.
        true_visible: Whether the true class is visible; None: unsure.
        target_visible: Whether the target class is visible; None: unsure.
        reasons: Reasons against the image.
        status: Said outright; None: follows from the answers.
        reviewers: Who; empty: not said.
        votes: How many votes it stands for.
        agreement: Share of these that say so.
    """

    id: str
    sha256: str | None = None
    true_visible: bool | None = None
    target_visible: bool | None = None
    reasons: tuple[str, ...] = ()
    status: Status | None = None
    reviewers: tuple[str, ...] = ()
    votes: int = 1
    agreement: float = 1.0

    @property
    def answered(self) -> Status:
        """What the answers come to, whatever was said outright."""
        if self.reasons or self.true_visible is False or self.target_visible is True:
            return "rejected"
        if self.true_visible is None or self.target_visible is None:
            return "unsure"
        return "accepted"

    @property
    def verdict(self) -> Status:
        """The status said outright, else what the answers come to."""
        return self.status or self.answered


@dataclass(kw_only=True, slots=True)
class ImportReport:
    """What an import came to.

    Attributes:
        decisions: One per image that somebody voted on, in the order of the rows.
        read: Votes that counted.
        empty: Entries without an answer.
        cancelled: Entries that a person skipped.
        unknown: Ids that the rows do not hold.
        stale: Ids whose image is another one than was looked at.
        repeated: Ids on which the same reviewer voted again; the last vote counts.
        contradicting: Ids on which votes differ.
        problems: Entries that could not be read, each with its place.
    """

    decisions: list[Decision] = field(default_factory=list)
    read: int = 0
    empty: int = 0
    cancelled: int = 0
    unknown: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    contradicting: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values, the decisions as their counts."""
        statuses = Counter(decision.status for decision in self.decisions)
        return {**to_json(self), "decisions": dict(sorted(statuses.items()))}


def decide(votes: Sequence[Vote], sha256: str) -> Decision:
    """One decision out of the votes on an image, as `advgen.decisions.decide` makes it.

    What had been decided before keeps its own agreement.

    Args:
        votes: At least one, at most one of each reviewer.
        sha256: Of the image.

    Raises:
        ValueError: If there is no vote.
    """
    opinions = [
        Opinion(
            status=vote.verdict,
            true_visible=vote.true_visible,
            target_visible=vote.target_visible,
            reasons=vote.reasons,
            reviewers=vote.reviewers,
            votes=vote.votes,
        )
        for vote in votes
    ]
    decision = decisions.decide(votes[0].id if votes else "", sha256, opinions)
    return replace(decision, agreement=votes[0].agreement) if len(votes) == 1 else decision


def gather(votes: Iterable[Vote], known: Mapping[str, str], report: ImportReport) -> ImportReport:
    """Add decisions to a report.

    Args:
        votes: In the order in which they were cast.
        known: Id -> SHA-256 of the images, in the order wanted.
        report: Gets the decisions, and what was wrong with the votes.
    """
    counted: dict[str, dict[tuple[str, ...], Vote]] = {}
    for vote in votes:
        vote = _of_run(vote, known)
        if vote.id not in known:
            _note(report.unknown, vote.id)
        elif vote.sha256 not in (None, known[vote.id]):
            _note(report.stale, vote.id)
        else:
            of_image = counted.setdefault(vote.id, {})
            if vote.reviewers in of_image:
                _note(report.repeated, vote.id)
            of_image[vote.reviewers] = vote
    for name in known:
        if name in counted:
            cast = list(counted[name].values())
            report.read += len(cast)
            if len({vote.verdict for vote in cast}) > 1:
                report.contradicting.append(name)
            report.decisions.append(decide(cast, known[name]))
    return report


def _of_run(vote: Vote, known: Mapping[str, str]) -> Vote:
    """The vote with the run's own id where it has a dataset's, which has the run in front."""
    tail = vote.id.partition("/")[2]
    if vote.id in known or vote.sha256 is None or known.get(tail) != vote.sha256:
        return vote
    return replace(vote, id=tail)


def _note(ids: list[str], name: str) -> None:
    if name not in ids:
        ids.append(name)
