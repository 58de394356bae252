"""What the attack asks of a describer (words to sentences) and a synthesizer (to images)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from advgen.records import ClassPair


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    """What to write about.

    Attributes:
        pair: The class that must be named and the class that must not.
        words: Mined words, best first; a sentence should use some of them.
        count: Sentences wanted.
        seed: Seed of this round of asking.
    """

    pair: ClassPair
    words: tuple[str, ...]
    count: int
    seed: int


@runtime_checkable
class Describer(Protocol):
    """Writes scene descriptions; replies are checked by the caller, not by the describer."""

    name: str
    revision: str

    def describe(self, request: DescribeRequest) -> list[str]:
        """Candidate sentences for a request; the same request gives the same sentences."""
        ...


@dataclass(frozen=True, slots=True)
class DrawRequest:
    """One image to draw.

    Attributes:
        prompt: The sentence.
        subject: The class that the image is about.
        seed: Seed of this image alone, so that it can be redrawn without its neighbours.
        size: Side of the image in pixels.
    """

    prompt: str
    subject: str
    seed: int
    size: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """One drawn image, or the reason why it must not be used.

    Attributes:
        image: RGB image.
        truth: What is known to be in the image (a sandbox scene); empty when nothing is known.
        undrawn: Words of the prompt that the synthesizer knows it left out.
        rejected: Why the image must not be scored (`flagged`, `black`), or None.
    """

    image: Image.Image
    truth: Mapping[str, Any] = field(default_factory=dict)
    undrawn: tuple[str, ...] = ()
    rejected: str | None = None


@runtime_checkable
class Synthesizer(Protocol):
    """Draws images from sentences, each from its own seed."""

    name: str
    revision: str
    licence: str

    def draw(self, requests: Sequence[DrawRequest]) -> list[Drawn]:
        """One result per request, in order."""
        ...
