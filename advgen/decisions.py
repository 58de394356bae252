"""What judges and people said of images, as lines of JSON that lie beside a run.

judgements/NAME.jsonl    one `Judgement` per line, by one judge
decisions.jsonl          one `Decision` per line, by people, exported from a review
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from advgen.errors import DataError
from advgen.store import write_atomic

Status = Literal["accepted", "rejected", "unsure"]
STATUSES: tuple[Status, ...] = get_args(Status)
_Row = TypeVar("_Row", "Judgement", "Decision")
_Answer = TypeVar("_Answer", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's answer on one image.

    Attributes:
        id: Of the sample.
        sha256: Of the image that was looked at.
        judge: Name of the judge.
        revision: Of its weights and questions.
        p_true_present: Probability that the true class is visible.
        p_target_absent: Probability that the target class is not.
    """

    id: str
    sha256: str
    judge: str
    revision: str
    p_true_present: float
    p_target_absent: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What people decided on one image.

    Attributes:
        id: Of the sample.
        sha256: Of the image that was looked at.
        status: `accepted` (true class visible, target class not, no reason against it), `rejected`
            or `unsure`.
        true_visible: Whether the true class is visible; None: nobody could say.
        target_visible: Whether the target class is visible; None: nobody could say.
        reasons: Why it was rejected beyond that: `broken`, `offensive`, `unclear` ...
        votes: How many votes it rests on.
        reviewers: Who voted, in order of names.
        agreement: Share of the votes that say what was decided, in [0, 1].
    """

    id: str
    sha256: str
    status: Status
    true_visible: bool | None
    target_visible: bool | None
    reasons: tuple[str, ...] = ()
    votes: int = 1
    reviewers: tuple[str, ...] = ()
    agreement: float = 1.0

    def __post_init__(self) -> None:
        """Check the status."""
        if self.status not in STATUSES:
            raise ValueError(f"expected a status out of {', '.join(STATUSES)}; got '{self.status}'")


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What one reviewer says of an image, or several who agree.

    Attributes:
        status: Of the image as a whole.
        true_visible: Whether the true class is visible; None: cannot tell.
        target_visible: Whether the target class is visible; None: cannot tell.
        reasons: Why it is turned down beyond that.
        reviewers: Who says so.
        votes: How many votes it stands for.
    """

    status: Status
    true_visible: bool | None
    target_visible: bool | None
    reasons: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    votes: int = 1


def decide(sample_id: str, sha256: str, opinions: Sequence[Opinion]) -> Decision:
    """What people decide together: the status that more than half of the votes give, else `unsure`.

    A decision overrules judges and goes into released data, so the most frequent status is not
    enough. A question's answer is what more than half say, None otherwise. Reasons are those of
    the votes that reject, where the image is rejected, in alphabetical order.

    Args:
        sample_id: Of the sample.
        sha256: Of the image that was looked at.
        opinions: At most one of each reviewer.

    Raises:
        ValueError: If there is no opinion.
    """
    if not opinions:
        raise ValueError("expected at least one vote; got none")
    total = sum(opinion.votes for opinion in opinions)
    status = _majority([(opinion.status, opinion.votes) for opinion in opinions]) or "unsure"
    rejecting = [opinion for opinion in opinions if status == "rejected" == opinion.status]
    return Decision(
        id=sample_id,
        sha256=sha256,
        status=status,
        true_visible=_majority([(opinion.true_visible, opinion.votes) for opinion in opinions]),
        target_visible=_majority([(opinion.target_visible, opinion.votes) for opinion in opinions]),
        reasons=tuple(sorted({reason for opinion in rejecting for reason in opinion.reasons})),
        votes=total,
        reviewers=tuple(sorted({name for opinion in opinions for name in opinion.reviewers})),
        agreement=sum(o.votes for o in opinions if o.status == status) / total,
    )


def _majority(answers: Sequence[tuple[_Answer, int]]) -> _Answer | None:
    counts: Counter[_Answer] = Counter()
    for answer, votes in answers:
        counts[answer] += votes
    answer, count = counts.most_common(1)[0]
    return answer if 2 * count > counts.total() else None


def write_rows(rows: Iterable[Judgement | Decision], path: Path) -> None:
    """Write judgements or decisions as JSON lines, whole or not at all."""
    lines = [json.dumps(dataclasses.asdict(row), sort_keys=True) + "\n" for row in rows]
    write_atomic(path, "".join(lines))


def read_judgements(path: Path) -> list[Judgement]:
    """The judgements of a file.

    Raises:
        DataError: If it cannot be read or a line is no judgement (the line is named).
    """
    return _read(Judgement, path)


def read_decisions(path: Path) -> list[Decision]:
    """The decisions of a file.

    Raises:
        DataError: If it cannot be read or a line is no decision (the line is named).
    """
    return _read(Decision, path)


def _read(kind: type[_Row], path: Path) -> list[_Row]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                rows.append(_row(kind, json.loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(
                    f"{path}, line {number}: not a {kind.__name__.lower()} ({error})"
                ) from error
    return rows


def _row(kind: type[_Row], fields: Any) -> _Row:
    if not isinstance(fields, dict):
        raise ValueError("it is no object")
    names = {field.name for field in dataclasses.fields(kind)}
    known = {name: value for name, value in fields.items() if name in names}
    for name in ("reasons", "reviewers"):
        if name in known:
            known[name] = tuple(known[name])
    return kind(**known)
