"""What people said elsewhere, and the one decision per image that it comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from advgen.decisions import Decision, Status
from advgen.records import to_json

_Value = TypeVar("_Value", bound=Hashable)


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
    """One decision out of the votes on an image.

    The status that most votes give, `unsure` when two are equally frequent; the answers in the same
    way, None when two are.

    Args:
        votes: At least one, at most one of each reviewer.
        sha256: Of the image.

    Raises:
        ValueError: If there is no vote.
    """
    if not votes:
        raise ValueError("expected at least one vote; got none")
    first = votes[0]
    if len(votes) == 1:
        status, agreement = first.verdict, first.agreement
    else:
        verdicts = [(vote.verdict, vote.votes) for vote in votes]
        status = cast(Status, _most(verdicts, "unsure"))
        said = sum(vote.votes for vote in votes if vote.verdict == status)
        agreement = said / sum(vote.votes for vote in votes)
    reasons = {r for vote in votes if status == "rejected" == vote.verdict for r in vote.reasons}
    return Decision(
        id=first.id,
        sha256=sha256,
        status=status,
        true_visible=_most([(vote.true_visible, vote.votes) for vote in votes], None),
        target_visible=_most([(vote.target_visible, vote.votes) for vote in votes], None),
        reasons=tuple(sorted(reasons)),
        votes=sum(vote.votes for vote in votes),
        reviewers=tuple(sorted({name for vote in votes for name in vote.reviewers})),
        agreement=agreement,
    )


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


def _most(values: Sequence[tuple[_Value, int]], tied: _Value) -> _Value:
    counts: Counter[_Value] = Counter()
    for value, weight in values:
        counts[value] += weight
    top = counts.most_common(2)
    return tied if len(top) > 1 and top[0][1] == top[1][1] else top[0][0]


def _note(ids: list[str], name: str) -> None:
    if name not in ids:
        ids.append(name)
