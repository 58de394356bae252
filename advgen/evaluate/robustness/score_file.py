"""A model's scores on the disk: one file per model, written when it is done, never trusted blindly.

models/NAME-KEY.json    rows of the data set
clean/NAME-KEY.json     clean images

The key is a hash of the questions (images, classes, prompts), the model's name and weights, and its
preprocessing; a file says what it was made from and carries a hash of all that it holds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from advgen.evaluate.robustness.scores import Questions, Scores, preprocess_digest
from advgen.imagesets.batches import Skipped
from advgen.models import ClipModel
from advgen.store import canonical_json, text_sha256, write_atomic

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ScoreFile:
    """Where the scores of one model lie, and what they must have been made from.

    Attributes:
        path: The file.
        made_from: Format, questions, model, weights, preprocessing and prompts.
    """

    path: Path
    made_from: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, name: str, clip: ClipModel, questions: Questions) -> ScoreFile:
        """The file of a model's answers to some questions.

        Args:
            folder: `models` or `clean`.
            name: The model as it was asked for.
            clip: The model.
            questions: What it is asked.
        """
        made_from = {
            "format": FORMAT_VERSION,
            "questions": questions.fingerprint,
            "model": name,
            "weights_sha256": clip.weights_sha256,
            "preprocess": preprocess_digest(clip),
            "prompts": list(dict.fromkeys(t for text in questions.texts for t in text.templates)),
        }
        key = text_sha256(canonical_json(made_from))[:16]
        slug = re.sub(r"[^\w.-]+", "_", name).strip("._")[-60:]
        return cls(folder / f"{slug}-{key}.json", made_from)

    def read(self, questions: Questions) -> tuple[Scores | None, str]:
        """The scores, or None; and why a file that is there is not used."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None, ""
        except (OSError, UnicodeDecodeError) as error:
            return None, f"it cannot be read ({error})"
        try:
            document = json.loads(text)
            seal = document.pop("sha256")
            if seal != text_sha256(canonical_json(document)):
                return None, "it is not what was written (SHA-256)"
            if any(document[name] != value for name, value in self.made_from.items()):
                return None, "it was made from something else than its name says"
            scores = _scores(document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return None, f"it is damaged ({type(error).__name__})"
        if not len(scores.cos_true) == len(scores.cos_target) == len(questions.ids):
            return None, "it holds another number of rows"
        return scores, ""

    def write(self, questions: Questions, scores: Scores) -> None:
        """Write the scores, whole or not at all.

        Raises:
            StoreError: If the file cannot be written.
        """
        document = {
            **self.made_from,
            "ids": list(questions.ids),
            "cos_true": _numbers(scores.cos_true),
            "cos_target": _numbers(scores.cos_target),
            "margin": _numbers(scores.margins),
            "skipped": [asdict(image) for image in scores.skipped],
        }
        sealed = {**document, "sha256": text_sha256(canonical_json(document))}
        write_atomic(self.path, canonical_json(sealed, indent=1) + "\n")


def _numbers(values: np.ndarray) -> list[float | None]:
    """Nine digits, from which a float32 comes back bit for bit; None for NaN."""
    return [None if math.isnan(value) else float(f"{value:.9g}") for value in values.tolist()]


def _scores(document: Mapping[str, Any]) -> Scores:
    def array(name: str) -> np.ndarray:
        return np.array(
            [math.nan if value is None else value for value in document[name]], dtype=np.float32
        )

    skipped = tuple(Skipped(**image) for image in document["skipped"])
    return Scores(array("cos_true"), array("cos_target"), skipped)
