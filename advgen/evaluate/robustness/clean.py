"""The control: are the same two classes told apart on clean images?

Without it a model that names nothing rightly would look fooled. Every clean image of a pair's
classes is one question, with the pair's own prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advgen.errors import DataError
from advgen.evaluate.robustness.dataset import RobustnessData
from advgen.evaluate.robustness.results import rate_of
from advgen.evaluate.robustness.scores import ClassText, Questions, Scores
from advgen.imagesets import ImageSet, load_image_set
from advgen.imagesets.chosen import ChosenImages
from advgen.imagesets.labels import class_name
from advgen.imagesets.protocol import class_labels
from advgen.records import ClassPair
from advgen.registry import closest
from advgen.scoring import Rate
from advgen.store import text_sha256

AUTO, NONE = "auto", "none"
_SHOWN = 12
SANDBOX = "sandbox:13600?single=1&seed=7"
"""A hundred images of each thing that the sandbox draws; only those of the pairs are drawn."""


@dataclass(frozen=True)
class CleanControl:
    """Clean images of the classes of all pairs, and what is asked of them.

    Attributes:
        spec: How the image set was named.
        questions: One per pair and image of either of its classes.
        pair: Pair of each question.
        of_true: Whether its image shows the pair's true class.
    """

    spec: str
    questions: Questions
    pair: tuple[ClassPair, ...]
    of_true: tuple[bool, ...]

    def rates(self, scores: Scores, pair: ClassPair) -> tuple[Rate, Rate]:
        """How often a model is right between the two classes of a pair.

        Args:
            scores: Its answers.
            pair: A pair of the data set.

        Returns:
            On images of the true class, and on images of both.
        """
        margins = scores.margins
        usable = ~np.isnan(margins)
        true = np.array(self.of_true)
        mine = usable & np.array([found == pair for found in self.pair])
        right = np.where(true, margins <= 0, margins > 0)
        return (
            rate_of(int((right & mine & true).sum()), int((mine & true).sum())),
            rate_of(int((right & mine).sum()), int(mine.sum())),
        )


def clean_spec(choice: str, data: RobustnessData) -> str | None:
    """The image set that a choice means: `auto` is the sandbox's own for what the sandbox drew."""
    if choice == AUTO:
        return SANDBOX if data.drawn else None
    return None if choice == NONE else choice


def open_clean(spec: str, data: RobustnessData) -> CleanControl:
    """Find the clean images of a data set's classes.

    Args:
        spec: Labelled image set whose classes include those of the pairs.
        data: The data set.

    Raises:
        ConfigError: If the spec cannot be understood.
        DataError: If there are no such images, or a class has none.
    """
    images = load_image_set(spec)
    places = _places(images, spec, data)
    pairs: dict[ClassPair, tuple[str, ...]] = {}
    for row in data.rows:
        pairs.setdefault(row.pair, row.templates)
    asked = sorted(
        (number, order, pair, shown == pair.true_class)
        for order, pair in enumerate(pairs)
        for shown in (pair.true_class, pair.target_class)
        for number in places[shown]
    )
    return _control(spec, images, asked, pairs)


def _control(
    spec: str,
    images: ImageSet,
    asked: Sequence[tuple[int, int, ClassPair, bool]],
    pairs: dict[ClassPair, tuple[str, ...]],
) -> CleanControl:
    numbers = sorted({entry[0] for entry in asked})
    chosen = ChosenImages(images, numbers, name=spec)
    texts: dict[ClassText, int] = {}

    def text(name: str, pair: ClassPair) -> int:
        return texts.setdefault(ClassText(name, pairs[pair]), len(texts))

    true = [text(pair.true_class, pair) for _, _, pair, _ in asked]
    target = [text(pair.target_class, pair) for _, _, pair, _ in asked]
    questions = Questions(
        chosen,
        _identity(chosen),
        tuple(f"{pair} {images.describe(number)}" for number, _, pair, _ in asked),
        np.searchsorted(numbers, [entry[0] for entry in asked]),
        np.array(true),
        np.array(target),
        tuple(texts),
    )
    return CleanControl(
        spec, questions, tuple(entry[2] for entry in asked), tuple(entry[3] for entry in asked)
    )


def _places(images: ImageSet, spec: str, data: RobustnessData) -> dict[str, list[int]]:
    """The images of each class that a pair names."""
    labels = class_labels(images)
    wanted = dict.fromkeys(
        name for row in data.rows for name in (row.pair.true_class, row.pair.target_class)
    )
    names = [_folded(name) for name in images.classes]
    if missing := [name for name in wanted if _folded(name) not in names]:
        raise DataError(_no_class(spec, missing, images.classes))
    numbers = np.array(labels)
    found = {}
    for name in wanted:
        mine = [number for number, other in enumerate(names) if other == _folded(name)]
        found[name] = np.flatnonzero(np.isin(numbers, mine)).tolist()
        if not found[name]:
            raise DataError(
                f"none of the clean images {spec} shows '{name}'; add some, or take more of them"
                " (a limit cuts a sorted set after its first classes: ?shuffle=0&limit=N)"
            )
    return found


def _folded(name: str) -> str:
    return class_name(name).casefold()


def _no_class(spec: str, missing: Sequence[str], classes: Sequence[str]) -> str:
    told = []
    for name in missing:
        close = closest(name, classes)
        told.append(f"'{name}'" + (f" (did you mean {' or '.join(close)}?)" if close else ""))
    shown = ", ".join(classes[:_SHOWN])
    more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
    return (
        f"the clean images {spec} have no class {' and none '.join(told)}; they have {shown}{more}."
        " Give their folders the names that the pairs use, name another set, or --clean none"
    )


def _identity(images: ImageSet) -> str:
    """Changes with any image; a file that cannot be read is left out later, like any other."""
    lines = []
    for number in range(len(images)):
        try:
            lines.append(images.digest(number))
        except DataError:
            lines.append(f"unreadable {images.describe(number)}")
    return text_sha256("\n".join(lines))
