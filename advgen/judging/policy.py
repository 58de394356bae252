"""From what judges and people said of an image to one answer: may it stand for its true class?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from advgen.decisions import Decision, Judgement
from advgen.errors import ConfigError
from advgen.records import Sample

VerificationStatus = Literal["accepted", "rejected", "needs_review"]
PEOPLE = "people"
FAMILIES: Mapping[str, str] = MappingProxyType(
    {"vlm": "vlm", "server": "vlm", "owlv2": "clip", "sandbox": "exact"}
)
"""Kind of judge -> what it is made like: judges of one family make the same mistakes."""
EXACT, CLIP_LIKE = "exact", "clip"


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a judge's answers must exceed.

    Attributes:
        true_present: For "the true class is visible", in [0, 1].
        target_absent: For "the target class is not visible", in [0, 1].
    """

    true_present: float
    target_absent: float

    def __post_init__(self) -> None:
        """Check the range."""
        if not all(0 <= value < 1 for value in dataclasses.astuple(self)):
            raise ValueError(f"expected thresholds in [0, 1); got {dataclasses.astuple(self)}")


THRESHOLDS: Mapping[str, Threshold] = MappingProxyType(
    {
        "sandbox": Threshold(0.5, 0.5),
        "vlm": Threshold(0.5, 0.9),
        "server": Threshold(0.5, 0.9),
        "owlv2": Threshold(0.2, 0.9),
    }
)
"""Kind of judge -> its thresholds; a detector's scores are raw and lower than probabilities."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When judges are believed.

    An image is accepted when every judge of the policy says that the true class is visible and the
    target class is not, the judges are of at least `families` families, and not all of them are
    like CLIP. The exact judge decides alone, people overrule everyone, and nobody else rejects:
    what is neither accepted nor rejected needs people.

    Differs from the paper: there people looked at every image.

    Attributes:
        judges: Names of those that must agree; empty for all who looked at the image.
        thresholds: Kind or full name of a judge -> thresholds; the full name goes first.
        families: How many families must agree where no judge is exact.
        fooled_to_people: Whether images that fooled the attacked model are left to people.
    """

    judges: tuple[str, ...] = ()
    thresholds: Mapping[str, Threshold] = field(default_factory=lambda: THRESHOLDS)
    families: int = 2
    fooled_to_people: bool = True

    def threshold(self, judge: str) -> Threshold:
        """The thresholds of a judge.

        Raises:
            ConfigError: If there are none for it.
        """
        for name in (judge, kind_of(judge)):
            if name in self.thresholds:
                return self.thresholds[name]
        raise ConfigError(
            f"no thresholds for the judge '{judge}'; give them, or use one of "
            f"{', '.join(self.thresholds)}"
        )

    def to_json(self) -> dict[str, Any]:
        """The policy as plain JSON, for cards and reports."""
        return {
            "judges": list(self.judges),
            "thresholds": {
                name: dataclasses.asdict(limits) for name, limits in self.thresholds.items()
            },
            "families": self.families,
            "fooled_to_people": self.fooled_to_people,
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """What is held of an image.

    Attributes:
        status: `accepted`, `rejected` or `needs_review`.
        true_present: Whether the true class is visible; None: not settled.
        target_absent: Whether the target class is not; None: not settled.
        by: Who settled it, or who was heard: names of judges, or `people`.
        reason: Why, in a few words.
    """

    status: VerificationStatus
    true_present: bool | None
    target_absent: bool | None
    by: tuple[str, ...]
    reason: str


def kind_of(judge: str) -> str:
    """The kind of a judge: `vlm` of `vlm:Qwen/Qwen2.5-VL-3B-Instruct`."""
    return judge.partition(":")[0]


def family_of(judge: str) -> str:
    """What a judge is made like; a kind that is not known is its own family."""
    return FAMILIES.get(kind_of(judge), kind_of(judge))


def is_exact(judge: str) -> bool:
    """Whether a judge knows what was drawn and does not guess."""
    return family_of(judge) == EXACT


def own_judgement(sample: Sample) -> Judgement | None:
    """What the judge of the attack itself said of an image; None when nobody looked."""
    if sample.p_true_present is None or sample.p_target_absent is None:
        return None
    return Judgement(
        id=sample.id,
        sha256=sample.sha256,
        judge=sample.judge,
        revision="",
        p_true_present=sample.p_true_present,
        p_target_absent=sample.p_target_absent,
    )


def answers(judgement: Judgement, policy: Policy) -> tuple[bool, bool]:
    """True class visible? Target class absent? By the judge's thresholds."""
    limits = policy.threshold(judgement.judge)
    present = judgement.p_true_present > limits.true_present
    return present, judgement.p_target_absent > limits.target_absent


def verify(
    sample: Sample,
    judgements: Iterable[Judgement] = (),
    decision: Decision | None = None,
    policy: Policy | None = None,
) -> Verification:
    """What is held of an image.

    Args:
        sample: The image.
        judgements: What judges said of it, the last word of each counts; those about other images,
            or about other bytes under its name, are passed over.
        decision: What people decided; passed over likewise.
        policy: When judges are believed; the default one if None.
    """
    policy = policy or Policy()
    if decision is not None and (decision.id, decision.sha256) == (sample.id, sample.sha256):
        return _by_people(decision)
    heard = {
        row.judge: row
        for row in judgements
        if (row.id, row.sha256) == (sample.id, sample.sha256)
        and not math.isnan(row.p_true_present + row.p_target_absent)
    }
    exact = next((row for name, row in sorted(heard.items()) if is_exact(name)), None)
    if exact is not None:
        return _by_exact(exact, policy)
    return _by_agreement(sample, heard, policy)


def _by_people(decision: Decision) -> Verification:
    said = {"accepted": "people accepted it", "rejected": "people rejected it"}
    absent = None if decision.target_visible is None else not decision.target_visible
    reasons = f": {', '.join(decision.reasons)}" if decision.reasons else ""
    return Verification(
        status="needs_review" if decision.status == "unsure" else decision.status,
        true_present=decision.true_visible,
        target_absent=absent,
        by=(PEOPLE,),
        reason=said.get(decision.status, "people could not say") + reasons,
    )


def _by_exact(row: Judgement, policy: Policy) -> Verification:
    present, absent = answers(row, policy)
    faults = [] if present else ["the true class is not visible"]
    faults += [] if absent else ["the target class is there"]
    return Verification(
        status="rejected" if faults else "accepted",
        true_present=present,
        target_absent=absent,
        by=(row.judge,),
        reason=" and ".join(faults) or "the exact judge accepted it",
    )


def _by_agreement(sample: Sample, heard: Mapping[str, Judgement], policy: Policy) -> Verification:
    names = policy.judges or tuple(sorted(heard))
    there = tuple(name for name in names if name in heard)
    said = [answers(heard[name], policy) for name in there]
    present, absent = (_common([pair[side] for pair in said]) for side in (0, 1))
    reason = _doubt(sample, names, there, policy) or _disagreement(present, absent)
    return Verification(
        status="needs_review" if reason else "accepted",
        true_present=present,
        target_absent=absent,
        by=there,
        reason=reason or "all judges agree",
    )


def _doubt(
    sample: Sample, names: tuple[str, ...], there: tuple[str, ...], policy: Policy
) -> str | None:
    """Why these judges may not accept this image, whatever they said."""
    families = {family_of(name) for name in there}
    if not there:
        return "no judge looked at it"
    if len(there) < len(names):
        missing = ", ".join(name for name in names if name not in there)
        return f"not looked at by {missing}"
    if families == {CLIP_LIKE}:
        return f"{', '.join(there)} alone is like CLIP itself; a second family must agree"
    if len(families) < policy.families:
        return f"judges of {policy.families} families must agree, {len(families)} was heard"
    if policy.fooled_to_people and sample.fooled:
        return "it fooled the model, so people decide"
    return None


def _disagreement(present: bool | None, absent: bool | None) -> str | None:
    """Why the answers do not let the image through."""
    said = {
        "whether the true class is visible": present,
        "whether the target class is absent": absent,
    }
    split = [question for question, answer in said.items() if answer is None]
    if split:
        return f"the judges disagree {' and '.join(split)}"
    faults = [] if present else ["they do not see the true class"]
    faults += [] if absent else ["they may see the target class"]
    return f"the judges agree, but {' and '.join(faults)}" if faults else None


def _common(given: list[bool]) -> bool | None:
    """The answer that all gave; None when they differ or nobody answered."""
    return given[0] if given and all(answer == given[0] for answer in given) else None
