"""The records that cross from one stage to the next: small, frozen, and ready for JSON.

Stages hand each other these and nothing else; arrays of numbers stay inside the stages.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from advgen.errors import ConfigError


@dataclass(frozen=True, slots=True, order=True)
class Neuron:
    """One post-activation channel of an MLP in the image tower: (layer, index), both from 0."""

    layer: int
    index: int

    def __str__(self) -> str:
        """`layer:index`."""
        return f"{self.layer}:{self.index}"


@dataclass(frozen=True, slots=True, order=True)
class ClassPair:
    """What an attack is about: images of `true_class` that are taken for `target_class`."""

    true_class: str
    target_class: str

    @classmethod
    def parse(cls, text: str) -> ClassPair:
        """Read `TRUE:TARGET`, for example `dog:deer` or `stop sign:yield sign`.

        Raises:
            ConfigError: If there is no colon, a side is empty, or both sides are the same.
        """
        sides = [" ".join(side.lower().split()) for side in text.split(":")]
        if len(sides) != 2 or not all(sides):
            raise ConfigError(
                f"'{text}' is not a pair of classes; write TRUE:TARGET, for example dog:deer"
            )
        if sides[0] == sides[1]:
            raise ConfigError(
                f"the pair '{text}' has the same class twice; TRUE and TARGET must differ"
            )
        return cls(*sides)

    @property
    def slug(self) -> str:
        """File-name form (`stop_sign-yield_sign`), safe as one part of a path."""
        return re.sub(r"[^\w-]+", "_", f"{self.true_class}-{self.target_class}")

    def __str__(self) -> str:
        """`true:target`, as `parse` reads it."""
        return f"{self.true_class}:{self.target_class}"


@dataclass(frozen=True, slots=True)
class NeuronShare:
    """What one neuron adds to a word's score (one term of Eq. 6)."""

    neuron: Neuron
    contribution: float


@dataclass(frozen=True, slots=True)
class MinedWord:
    """A word that speaks for the target class, with its score and the neurons behind it."""

    word: str
    score: float
    neurons: tuple[NeuronShare, ...] = ()


@dataclass(frozen=True, slots=True)
class DroppedWord:
    """A word that scored high enough but was not used, and why.

    `similarity` is its cosine to the target class where that was the reason.
    """

    word: str
    score: float
    reason: str
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class WordList:
    """What mining found for one pair with one method: kept words, best first, and dropped ones."""

    pair: ClassPair
    method: str
    repeat: int
    kept: tuple[MinedWord, ...]
    dropped: tuple[DroppedWord, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """A sentence to draw, or one that was turned down (`reason` says why)."""

    id: str
    text: str
    words: tuple[str, ...]
    reason: str | None = None

    @property
    def accepted(self) -> bool:
        """True when the sentence may be drawn."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of an image: is the true class there, and is the target class absent?

    Probabilities are in [0, 1]; an exact judge gives 0 or 1. None: nobody looked.
    """

    judge: str
    true_present: float | None
    target_absent: float | None

    @property
    def verified(self) -> bool:
        """True when both questions are answered yes with more than even odds."""
        return (self.true_present or 0.0) > 0.5 and (self.target_absent or 0.0) > 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """One drawn and scored image: a row of `records.parquet`.

    `path` is relative to the run directory; `cos_*` are cosines between the image and the class
    prompts, `margin = cos_target - cos_true`, `prob_target` the softmax with the model's logit
    scale.
    """

    id: str
    true_class: str
    target_class: str
    method: str
    repeat: int
    description_id: str
    description: str
    words: tuple[str, ...]
    undrawn: tuple[str, ...]
    attacked_model: str
    weights_sha256: str
    describer: str
    synthesizer: str
    cos_true: float
    cos_target: float
    margin: float
    prob_target: float
    fooled: bool
    judge: str
    p_true_present: float | None
    p_target_absent: float | None
    verified: bool
    seed: int
    sha256: str
    path: str
    truth: str


def to_json(record: Any) -> Any:
    """A record as plain dicts, lists and scalars."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_json(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {key: to_json(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [to_json(value) for value in record]
    return record
