"""What is reviewed: one item per image of a run, and which items a reviewer wants to see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from advgen.decisions import Judgement
from advgen.errors import DataError
from advgen.records import Sample
from advgen.seeds import derive_seed

LOTS = 1 << 63
"""Places and lots are whole numbers in [0, LOTS)."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which items are wanted; what is left out does not restrict.

    Attributes:
        pair: `TRUE:TARGET`.
        method: Name of a method.
        disagreement: Only images on which the judges disagree about either question.
        unjudged: Only images that no judge has looked at.
        fooled: Only images that fooled the attacked model.
    """

    pair: str | None = None
    method: str | None = None
    disagreement: bool = False
    unjudged: bool = False
    fooled: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One image to look at.

    Attributes:
        id: Opaque name of the item, 20 hex digits; the only thing that a client ever names.
        run: Directory of the run that it comes from.
        image: Its file, inside `run`.
        sample: Its row in `records.parquet`.
        judgements: What judges said of it, with the verdict of the run itself where there is one.
        shared: Whether every reviewer is asked about it (blind double labelling).
    """

    id: str
    run: Path
    image: Path
    sample: Sample
    judgements: tuple[Judgement, ...] = ()
    shared: bool = False

    @property
    def sample_id(self) -> str:
        """Id of the row."""
        return self.sample.id

    @property
    def sha256(self) -> str:
        """Hash of the image's bytes."""
        return self.sample.sha256

    @property
    def pair(self) -> str:
        """`TRUE:TARGET`."""
        return f"{self.sample.true_class}:{self.sample.target_class}"

    @property
    def true_class(self) -> str:
        """What the image should show."""
        return self.sample.true_class

    @property
    def target_class(self) -> str:
        """What the image should not show."""
        return self.sample.target_class

    @property
    def description(self) -> str:
        """The sentence that was drawn."""
        return self.sample.description

    @property
    def words(self) -> tuple[str, ...]:
        """The spurious words in it."""
        return self.sample.words

    @property
    def method(self) -> str:
        """How the words were found."""
        return self.sample.method

    @property
    def margin(self) -> float:
        """Cosine to the target class minus cosine to the true class."""
        return self.sample.margin

    @property
    def prob_target(self) -> float:
        """Probability of the target class, of the two."""
        return self.sample.prob_target

    @property
    def fooled(self) -> bool:
        """Whether the attacked model took the target class."""
        return self.sample.fooled

    @property
    def verified(self) -> bool:
        """Whether the run's own judge said yes to both questions."""
        return self.sample.verified


def item_id(sample: Sample) -> str:
    """Name of the item of a row: the same for the same image and id, wherever it lies."""
    return hashlib.sha256(f"{sample.id}\n{sample.sha256}".encode()).hexdigest()[:20]


def place_of(name: str) -> int:
    """Place of an item in the order of review: shuffled, the same everywhere."""
    return derive_seed("review place", name)


def lot_of(name: str) -> int:
    """What an item has drawn; those below `share * LOTS` are shown to every reviewer."""
    return derive_seed("review lot", name)


def start_of(reviewer: str) -> int:
    """Place where a reviewer begins, so that two of them rarely look at the same image."""
    return derive_seed("review start", reviewer)


def is_inside(path: str) -> bool:
    """Whether a row's path is relative and never climbs."""
    parts = PurePosixPath(path).parts
    safe = bool(parts) and ".." not in parts and "\\" not in path and "\0" not in path
    return safe and not PurePosixPath(path).is_absolute()


def image_path(run: Path, path: str) -> Path:
    """The file of a row, links followed.

    Raises:
        DataError: If it would lie outside the run.
    """
    root = run.resolve()
    found = (root / path).resolve() if is_inside(path) else root
    if found == root or not found.is_relative_to(root):
        raise DataError(f"{run}: the image path '{path}' leads out of the run; write the run anew")
    return found


def read_image(item: Item) -> bytes:
    """The encoded image of an item, checked against its hash: what is shown is what is voted on.

    Raises:
        DataError: If the file is gone or changed.
    """
    try:
        data = item.image.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read {item.image} ({error.strerror}); draw it again with `advgen attack`"
        ) from error
    if hashlib.sha256(data).hexdigest() != item.sha256:
        raise DataError(
            f"{item.image} is not the image that the run's records name; draw it again with "
            "`advgen attack`, then start the review anew"
        )
    return data


def judged(sample: Sample, judgements: list[Judgement]) -> tuple[Judgement, ...]:
    """What judges said of this version of an image, the run's own verdict first."""
    own: list[Judgement] = []
    present, absent = sample.p_true_present, sample.p_target_absent
    known = {judgement.judge for judgement in judgements}
    if present is not None and absent is not None and sample.judge not in known:
        own.append(Judgement(sample.id, sample.sha256, sample.judge, "run", present, absent))
    return (*own, *(found for found in judgements if found.sha256 == sample.sha256))


def disputed(judgements: tuple[Judgement, ...]) -> bool:
    """Whether judges disagree about a question, each at even odds."""
    answers = {(found.p_true_present > 0.5, found.p_target_absent > 0.5) for found in judgements}
    return len(answers) > 1
