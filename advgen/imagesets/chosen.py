"""Some images of a set, in a chosen order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from functools import cached_property

from PIL import Image

from advgen.errors import DataError
from advgen.imagesets.protocol import ImageSet, check_index


class ChosenImages:
    """Images of another set by their numbers; only these are read or hashed.

    Args:
        images: The set.
        numbers: Which of its images, in order.
        name: What the choice is called.
    """

    def __init__(self, images: ImageSet, numbers: Sequence[int], *, name: str) -> None:
        self.name = name
        self.numbers = numbers
        self._images = images

    @property
    def fingerprint(self) -> str:
        """See `ImageSet`; computed once per object."""
        return self._fingerprint

    @property
    def labels(self) -> Sequence[int] | None:
        """See `ImageSet`."""
        return self._labels

    @property
    def classes(self) -> tuple[str, ...]:
        """See `ImageSet`; those of the whole set, also where none of their images is chosen."""
        return self._images.classes

    @property
    def templates(self) -> tuple[str, ...]:
        """See `ImageSet`."""
        return self._images.templates

    def __len__(self) -> int:
        """See `ImageSet`."""
        return len(self.numbers)

    def __getitem__(self, index: int) -> Image.Image:
        """See `ImageSet`."""
        return self._images[self._number(index)]

    def __iter__(self) -> Iterator[Image.Image]:
        """See `ImageSet`."""
        return (self._images[number] for number in self.numbers)

    def describe(self, index: int) -> str:
        """See `ImageSet`."""
        return self._images.describe(self._number(index))

    def digest(self, index: int) -> str:
        """See `ImageSet`."""
        return self._images.digest(self._number(index))

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for number in self.numbers:
            digest.update(f"{self._images.digest(number)}\n".encode())
        return digest.hexdigest()

    @cached_property
    def _labels(self) -> Sequence[int] | None:
        labels = self._images.labels
        return None if labels is None else tuple(labels[number] for number in self.numbers)

    def _number(self, index: int) -> int:
        return self.numbers[check_index(index, len(self.numbers))]


def choose_images(
    images: ImageSet,
    *,
    every: int = 1,
    offset: int = 0,
    shuffle: int | None = None,
    limit: int | None = None,
) -> ImageSet:
    """Every k-th image from an offset on, then shuffled, then cut; the set itself if that is all.

    Args:
        images: The set.
        every: Step k between images.
        offset: Number of the first image.
        shuffle: Seed of a random order, or None for the order of the set.
        limit: How many to keep, or None for all.

    Raises:
        DataError: If no image is left.
    """
    if every == 1 and offset == 0 and shuffle is None and limit is None:
        return images
    numbers: Sequence[int] = range(offset, len(images), every)
    if shuffle is not None:
        numbers = random.Random(f"images-{shuffle}").sample(numbers, len(numbers))
    numbers = numbers[:limit]
    if not numbers:
        raise DataError(
            f"offset={offset} leaves none of the {len(images)} images of {images.name}; "
            "choose a smaller one"
        )
    wanted = {"every": every, "offset": offset, "shuffle": shuffle, "limit": limit}
    usual = {"every": 1, "offset": 0, "shuffle": None, "limit": None}
    options = "&".join(f"{key}={value}" for key, value in wanted.items() if value != usual[key])
    mark = "&" if "?" in images.name else "?"
    return ChosenImages(images, numbers, name=f"{images.name}{mark}{options}")
