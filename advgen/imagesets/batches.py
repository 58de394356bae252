"""Image sets as pixels: batches of fixed composition, unreadable images left out and named."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from advgen.errors import DataError
from advgen.imagesets.files import UnreadableImageError
from advgen.imagesets.protocol import ImageSet

_Batch = TypeVar("_Batch")


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that could not be read.

    Args:
        index: Its number in the set.
        name: What the set calls it.
        reason: Why.
    """

    index: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PixelBatch:
    """The readable images of one batch.

    Args:
        number: Which batch of its set.
        pixels: Preprocessed images, float32; no row if none could be read.
        indices: Number in the set of every row.
        skipped: The images without a row.
    """

    number: int
    pixels: Float[Tensor, "image 3 height width"]
    indices: list[int]
    skipped: list[Skipped]


class PixelBatches(Dataset[PixelBatch]):
    """An image set in batches: batch k holds images ``k * size`` to ``(k + 1) * size - 1``.

    What is in a batch depends on nothing else, so processes can share the numbers among them.

    Args:
        images: The set.
        preprocess: Image to pixels `[3, height, width]`, as `ClipModel.preprocess`.
        batch_size: Images in a batch; the last one may be shorter.
        workers: Processes that read ahead; 0 reads in this one. They are forked where the system
            can, otherwise `images` and `preprocess` must be picklable.

    Raises:
        ValueError: If `batch_size` is not positive or `workers` negative.
    """

    def __init__(
        self,
        images: ImageSet,
        preprocess: Callable[[Image.Image], Tensor],
        batch_size: int,
        *,
        workers: int = 0,
    ) -> None:
        if batch_size < 1 or workers < 0:
            raise ValueError(
                f"expected batch_size >= 1 and workers >= 0; got {batch_size} and {workers}"
            )
        self.images, self.batch_size, self.workers = images, batch_size, workers
        self._preprocess = preprocess

    def __len__(self) -> int:
        """How many batches there are."""
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, number: int) -> PixelBatch:
        """See `batch`."""
        return self.batch(number)

    def batch(self, number: int) -> PixelBatch:
        """Read one batch in this process.

        Raises:
            IndexError: If there is no such batch.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"expected a batch number from 0 to {len(self) - 1}; got {number}")
        start = number * self.batch_size
        rows: list[Tensor] = []
        indices: list[int] = []
        skipped: list[Skipped] = []
        for index in range(start, min(start + self.batch_size, len(self.images))):
            try:
                image = self.images[index]
            except DataError as error:
                reason = error.reason if isinstance(error, UnreadableImageError) else str(error)
                skipped.append(Skipped(index, self.images.describe(index), reason))
                continue
            rows.append(self._preprocess(image))
            indices.append(index)
        return PixelBatch(number, torch.stack(rows) if rows else self._no_rows, indices, skipped)

    def read(self, numbers: Iterable[int]) -> Iterator[PixelBatch]:
        """Read some batches in the given order, ahead of their use if there are workers.

        Whether all images were unreadable is for the caller to ask (`require_some_readable`).
        """
        loader: DataLoader[PixelBatch] = DataLoader(
            self,
            batch_size=None,
            sampler=list(numbers),
            collate_fn=_as_it_is,
            num_workers=self.workers,
            multiprocessing_context=_context() if self.workers else None,
            generator=torch.Generator().manual_seed(0),  # else it draws from the global one
        )
        return iter(loader)

    def __iter__(self) -> Iterator[PixelBatch]:
        """All batches in order.

        Raises:
            DataError: At the end, if no image could be read.
        """
        skipped: list[Skipped] = []
        for batch in self.read(range(len(self))):
            skipped += batch.skipped
            yield batch
        require_some_readable(self.images, skipped)

    @cached_property
    def _no_rows(self) -> Tensor:
        return self._preprocess(Image.new("RGB", (64, 64)))[None][:0]


def require_some_readable(images: ImageSet, skipped: Sequence[Skipped]) -> None:
    """Stop where nothing of a set could be read.

    Args:
        images: The set.
        skipped: All its unreadable images, from all of its batches.

    Raises:
        DataError: If these are all images of the set.
    """
    if len(skipped) == len(images):
        raise DataError(
            f"none of the {len(images)} images of {images.name} can be read, "
            f"e.g. {skipped[0].name} ({skipped[0].reason}); replace them"
        )


def _as_it_is(batch: _Batch) -> _Batch:
    return batch


def _context() -> str | None:
    return "fork" if "fork" in multiprocessing.get_all_start_methods() else None
