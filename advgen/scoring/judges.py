"""Judges: who says whether an image shows what it should, and only that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from advgen.records import ClassPair, Verdict


@runtime_checkable
class Judge(Protocol):
    """Looks at one image: is the true class there, is the target class absent?

    A judge must not be the attacked model, nor a CLIP-like model alone.
    """

    name: str

    def judge(self, image: Image.Image, truth: Mapping[str, Any], pair: ClassPair) -> Verdict:
        """The verdict on an image; `truth` is what the synthesizer knows of it, if anything."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """One image for a judge to look at.

    Attributes:
        image: An RGB image.
        pair: What it should show, and what it should not.
        truth: What the synthesizer knows of it, if anything.
    """

    image: Image.Image
    pair: ClassPair
    truth: Mapping[str, Any] = field(default_factory=dict)


class BatchJudge(Judge, Protocol):
    """A judge that looks at several images at once, and lets go of its weights when told to.

    Not checkable at run time: that would ask for the revision, and so the network.
    """

    @property
    def revision(self) -> str:
        """What identifies its weights and its questions for good."""
        ...

    def judge_many(self, looks: Sequence[Look]) -> list[Verdict]:
        """The verdicts, in order.

        Raises:
            GenerationError: If an image got no usable answer; others may.
            ModelError: If the judge cannot be used as it is.
        """
        ...

    def close(self) -> None:
        """Let go of memory and connections."""
        ...


class OneByOne:
    """Any judge as one of batches: looks at one image after the other.

    Args:
        judge: Who looks.
        revision: Its revision, for a judge that has none of its own.
    """

    def __init__(self, judge: Judge, revision: str = "exact") -> None:
        self._judge = judge
        self.name = judge.name
        self.revision = str(getattr(judge, "revision", revision))

    def judge(self, image: Image.Image, truth: Mapping[str, Any], pair: ClassPair) -> Verdict:
        """See `Judge.judge`."""
        return self._judge.judge(image, truth, pair)

    def judge_many(self, looks: Sequence[Look]) -> list[Verdict]:
        """See `BatchJudge.judge_many`."""
        return [self.judge(look.image, look.truth, look.pair) for look in looks]

    def close(self) -> None:
        """There is nothing to let go of."""


class NoJudge:
    """Looks at nothing: images stay unverified until people or another judge have seen them."""

    name = "none"

    def judge(self, image: Image.Image, truth: Mapping[str, Any], pair: ClassPair) -> Verdict:
        """A verdict without an answer."""
        return Verdict(judge=self.name, true_present=None, target_absent=None)
