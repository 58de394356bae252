"""One model's cosines with the two classes of each question; the loop that keeps it busy."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from PIL import Image
from torch import Tensor

from advgen.attack.progress import Progress, Silent
from advgen.errors import ModelError
from advgen.evaluate.robustness.dataset import RobustnessData
from advgen.imagesets import ImageSet
from advgen.imagesets.batches import PixelBatches, Skipped
from advgen.models import ClipModel
from advgen.scoring import class_embeddings
from advgen.store import canonical_json, text_sha256

BATCH = 64
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class ClassText:
    """A class as a model reads it: its name in each of the templates."""

    name: str
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Questions:
    """Which of two classes does this image show? A list of such questions over an image set.

    Attributes:
        images: The set.
        identity: Changes with any of its images.
        ids: Name of each question.
        image: Number of its image in the set; never falls.
        true: Number of its true class in `texts`.
        target: Number of its target class in `texts`.
        texts: The classes.
    """

    images: ImageSet
    identity: str
    ids: tuple[str, ...]
    image: Int[np.ndarray, " question"]
    true: Int[np.ndarray, " question"]
    target: Int[np.ndarray, " question"]
    texts: tuple[ClassText, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the images, the questions and the prompts."""
        numbers = [array.tolist() for array in (self.image, self.true, self.target)]
        texts = [[text.name, list(text.templates)] for text in self.texts]
        return text_sha256(canonical_json([self.identity, numbers, texts]))


@dataclass(frozen=True)
class Scores:
    """What a model said to each question.

    Attributes:
        cos_true: Cosine of image and true class; NaN where the image cannot be used.
        cos_target: The same with the target class.
        skipped: The images that cannot be used.
    """

    cos_true: Float32[np.ndarray, " question"]
    cos_target: Float32[np.ndarray, " question"]
    skipped: tuple[Skipped, ...]

    @property
    def margins(self) -> Float32[np.ndarray, " question"]:
        """cos(target) - cos(true)."""
        return self.cos_target - self.cos_true


def row_questions(data: RobustnessData) -> Questions:
    """One question per row of a data set: its own pair, with its own prompts."""
    texts: dict[ClassText, int] = {}

    def number(name: str, templates: tuple[str, ...]) -> int:
        return texts.setdefault(ClassText(name, templates), len(texts))

    true = [number(row.pair.true_class, row.templates) for row in data.rows]
    target = [number(row.pair.target_class, row.templates) for row in data.rows]
    return Questions(
        data.images,
        data.fingerprint,
        tuple(row.id for row in data.rows),
        np.arange(len(data.rows)),
        np.array(true),
        np.array(target),
        tuple(texts),
    )


def score_model(
    clip: ClipModel,
    questions: Questions,
    *,
    batch_size: int = BATCH,
    workers: int = 0,
    progress: Progress | None = None,
) -> Scores:
    """Ask a model all questions; every image is encoded once.

    This is the loop whose speed counts: `score_model(clip, row_questions(open_data(DIR)))`. The
    next batch is read while the model encodes, by a thread, or by `workers` processes where
    decoding is slower than the model. A batch always holds the same images.

    Args:
        clip: The model.
        questions: What it is asked.
        batch_size: Images per pass.
        workers: Processes that decode and preprocess ahead; 0: a thread of this one.
        progress: Told of every image.

    Returns:
        Cosines in float32.

    Raises:
        ModelError: If the model cannot be asked: no memory, or a vocabulary that is not its own.
    """
    progress = progress or Silent()
    texts = _embeddings(clip, questions.texts)
    true = np.full(len(questions.ids), np.nan, dtype=np.float32)
    target = true.copy()
    skipped: list[Skipped] = []
    batches = PixelBatches(questions.images, clip.preprocess, batch_size, workers=workers)
    try:
        for batch in read_ahead(batches.read(range(len(batches)))):
            skipped += batch.skipped
            if batch.indices:
                asked, row = _asked(questions, batch.indices)
                embeddings = clip.encode_image(batch.pixels).float().cpu()[row]
                true[asked] = _cosines(embeddings, texts[questions.true[asked]])
                target[asked] = _cosines(embeddings, texts[questions.target[asked]])
            progress.advance(len(batch.indices) + len(batch.skipped))
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{clip.name} does not fit into the memory of the device with {batch_size} images at a"
            " time; give a smaller --batch"
        ) from error
    return Scores(true, target, tuple(skipped))


def preprocess_digest(clip: ClipModel) -> str:
    """What a model's preprocessing makes of a fixed picture, 16 hex digits.

    Two models, or two versions of a library, that resize, crop or normalise differently differ
    here.
    """
    height, width = 173, 251
    down, across = np.mgrid[0:height, 0:width]
    colours = np.stack([down * 255 // height, across * 255 // width, (down * across) % 256], -1)
    pixels = clip.preprocess(Image.fromarray(colours.astype(np.uint8)))
    return hashlib.sha256(pixels.float().cpu().numpy().tobytes()).hexdigest()[:16]


def read_ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """The items in order, each made by a thread while the one before is used."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            yield cast("_Item", item)


def _asked(
    questions: Questions, indices: list[int]
) -> tuple[Int[np.ndarray, " asked"], Int[np.ndarray, " asked"]]:
    """The questions about some images, and for each the place of its image among them."""
    first, end = np.searchsorted(questions.image, [indices[0], indices[-1] + 1])
    numbers = np.arange(first, end)
    numbers = numbers[np.isin(questions.image[first:end], indices)]
    return numbers, np.searchsorted(np.array(indices), questions.image[numbers])


def _embeddings(clip: ClipModel, texts: tuple[ClassText, ...]) -> Float[Tensor, "text embed"]:
    """Unit rows of the texts, those with the same templates encoded together."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        places[text.templates].append(number)
    rows: dict[int, Tensor] = {}
    for templates, numbers in places.items():
        found = class_embeddings(clip, [texts[number].name for number in numbers], templates)
        rows.update(zip(numbers, found, strict=True))
    return torch.stack([rows[number] for number in range(len(texts))])


def _cosines(
    images: Float[Tensor, "asked embed"], texts: Float[Tensor, "asked embed"]
) -> Float32[np.ndarray, " asked"]:
    return (images * texts).sum(dim=1).numpy()
