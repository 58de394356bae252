"""Judges: who says whether an image shows what it should, and only that."""

from __future__ import annotations

from collections.abc import Mapping
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


class NoJudge:
    """Looks at nothing: images stay unverified until people or another judge have seen them."""

    name = "none"

    def judge(self, image: Image.Image, truth: Mapping[str, Any], pair: ClassPair) -> Verdict:
        """A verdict without an answer."""
        return Verdict(judge=self.name, true_present=None, target_absent=None)
