"""What the attack asks of a describer (words to sentences) and a synthesizer (to images)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from advgen.chat import ListReply
from advgen.records import ClassPair


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    """What to write about.

    Attributes:
        pair: The class that must be named and the class that must not.
        words: Mined words, best first; a sentence should use some of them.
        count: Sentences wanted.
        seed: Seed of this asking.
        known: Sentences that are there already; other ones are wanted.
        examples: Sentences that worked well before (closed loop); more like these are wanted.
        target_synonyms: Further names of the target class that must not occur.
    """

    pair: ClassPair
    words: tuple[str, ...]
    count: int
    seed: int
    known: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    target_synonyms: tuple[str, ...] = ()


@runtime_checkable
class Describer(Protocol):
    """Writes scene descriptions; sentences are checked by the caller, not by the describer.

    Making one loads nothing heavy: weights come with the first `describe`.
    """

    name: str
    revision: str

    def describe(self, request: DescribeRequest) -> ListReply:
        """Candidate sentences for a request, and the parts of the reply that are none.

        The same request gives the same sentences as far as the model behind allows it.

        Raises:
            GenerationError: If this request got no usable reply; another seed may.
            ModelError: If the model or its server cannot be used as it is.
        """
        ...

    def close(self) -> None:
        """Let go of memory and connections; the next `describe` loads again."""
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
        rejected: Why the image must not be scored (`flagged`, `watermark`, `black`), or None.
        details: How it was drawn, for its provenance: model revisions, steps, guidance, batch size.
    """

    image: Image.Image
    truth: Mapping[str, Any] = field(default_factory=dict)
    undrawn: tuple[str, ...] = ()
    rejected: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Synthesizer(Protocol):
    """Draws images from sentences, each from its own seed.

    Making one loads nothing heavy: weights come with the first `draw`, when the describer has been
    closed. `revision` identifies the weights, `licence` is that of the images.
    """

    name: str
    revision: str
    licence: str

    def prompt_fault(self, prompt: str) -> str | None:
        """Why a sentence cannot be drawn whole (`too_many_tokens`), or None."""
        ...

    def draw(self, requests: Sequence[DrawRequest]) -> list[Drawn]:
        """One result per request, in order; they are drawn together, as one batch."""
        ...

    def close(self) -> None:
        """Let go of memory; the next `draw` loads again."""
        ...
