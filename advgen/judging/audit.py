"""How far judges can be trusted: their answers against those of people, or of the exact judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from advgen.decisions import Decision, Judgement
from advgen.judging.policy import Policy, Verification, answers, is_exact, verify
from advgen.records import Sample
from advgen.scoring.metrics import wilson_interval
from advgen.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class Share:
    """A count out of others."""

    count: int
    of: int

    @property
    def rate(self) -> float | None:
        """The share, in [0, 1]; None when there was nothing to count."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson interval of the share; None when there was nothing to count."""
        return wilson_interval(self.count, self.of) if self.of else None

    def to_json(self) -> dict[str, Any]:
        """Counts, rate and interval as plain JSON."""
        interval = self.interval
        return {
            "count": self.count,
            "of": self.of,
            "rate": self.rate,
            "interval": list(interval) if interval else None,
        }


@dataclass(frozen=True, slots=True)
class QuestionRates:
    """How one judge answers one question.

    Attributes:
        true_positive: Said yes, of those where yes is right.
        true_negative: Said no, of those where no is right.
    """

    true_positive: Share
    true_negative: Share

    def to_json(self) -> dict[str, Any]:
        """Both shares as plain JSON."""
        return {
            "true_positive": self.true_positive.to_json(),
            "true_negative": self.true_negative.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        reference: Who is believed: `people`, `sandbox`, or both.
        accepted: Images that the policy accepts by its judges alone.
        false_accepts: Those that the reference rejects, of the accepted ones that it settled.
        questions: Judge -> question (`true_present`, `target_absent`) -> rates. The yes of either
            question is the answer that lets an image through.
    """

    reference: tuple[str, ...]
    accepted: int
    false_accepts: Share
    questions: Mapping[str, Mapping[str, QuestionRates]]

    def to_json(self) -> dict[str, Any]:
        """The audit as plain JSON."""
        return {
            "reference": list(self.reference),
            "accepted": self.accepted,
            "false_accepts": self.false_accepts.to_json(),
            "questions": {
                judge: {question: rates.to_json() for question, rates in table.items()}
                for judge, table in self.questions.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Case:
    """An image with all that was said of it.

    Attributes:
        sample: The image.
        judgements: By judges, exact or not.
        decision: By people; None when they have not looked.
    """

    sample: Sample
    judgements: tuple[Judgement, ...] = ()
    decision: Decision | None = None


def audit_sample(ids: Iterable[str], size: int, seed: int) -> list[str]:
    """Images for people to look at, so that a rate over them holds for all.

    The same seed with a larger size gives the same images and more, in any order of `ids`.

    Args:
        ids: Images to choose from, mostly those that the policy accepts.
        size: How many; all when there are fewer.
        seed: Of the choice.

    Raises:
        ValueError: If the size is negative.
    """
    if size < 0:
        raise ValueError(f"expected a size of 0 or more; got {size}")
    drawn = sorted(set(ids), key=lambda name: (derive_seed("audit", seed, name), name))
    return drawn[:size]


def audit(cases: Iterable[Case], policy: Policy | None = None) -> Audit:
    """Compare judges with people, or with the exact judge where people have not looked.

    The policy is applied to the judges that guess, without the exact one and without people.
    Images that nobody settled are no part of any rate. The interval holds when those who looked did
    so at a random sample (`audit_sample`) of what was accepted.

    Raises:
        ConfigError: If the policy has no thresholds for a judge.
    """
    policy = policy or Policy()
    accepted = false = settled = 0
    believed: set[str] = set()
    checked: list[tuple[Case, Verification]] = []
    for case in cases:
        guesses = [row for row in case.judgements if not is_exact(row.judge)]
        passed = verify(case.sample, guesses, None, policy).status == "accepted"
        accepted += passed
        truth = _reference(case, policy)
        if truth is None:
            continue
        believed |= set(truth.by)
        checked.append((case, truth))
        if passed and truth.status != "needs_review":
            settled += 1
            false += truth.status == "rejected"
    return Audit(
        reference=tuple(sorted(believed)),
        accepted=accepted,
        false_accepts=Share(false, settled),
        questions=_questions(checked, policy),
    )


def _reference(case: Case, policy: Policy) -> Verification | None:
    """What people or the exact judge hold of an image; None when neither looked."""
    exact = [row for row in case.judgements if is_exact(row.judge)]
    found = verify(case.sample, exact, case.decision, policy)
    return found if found.by else None


def _questions(
    checked: Sequence[tuple[Case, Verification]], policy: Policy
) -> dict[str, dict[str, QuestionRates]]:
    said: dict[str, list[tuple[tuple[bool, bool], Verification]]] = {}
    for case, truth in checked:
        rows = {
            row.judge: row
            for row in case.judgements
            if not is_exact(row.judge) and row.sha256 == case.sample.sha256
        }
        for judge, row in rows.items():
            said.setdefault(judge, []).append((answers(row, policy), truth))
    return {
        judge: {
            "true_present": _rates((given[0], truth.true_present) for given, truth in rows),
            "target_absent": _rates((given[1], truth.target_absent) for given, truth in rows),
        }
        for judge, rows in sorted(said.items())
    }


def _rates(answered: Iterable[tuple[bool, bool | None]]) -> QuestionRates:
    """Rates of one question from pairs (given, right); what nobody knows does not count."""
    known = [(given, right) for given, right in answered if right is not None]

    def share(side: bool, hit: Callable[[bool], bool]) -> Share:
        given = [answer for answer, right in known if right is side]
        return Share(sum(map(hit, given)), len(given))

    return QuestionRates(share(True, bool), share(False, lambda answer: not answer))
