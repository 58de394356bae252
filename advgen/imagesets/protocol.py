"""What an image set is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from PIL import Image

from advgen.errors import DataError


@runtime_checkable
class ImageSet(Protocol):
    """A fixed, ordered set of images, read by number; labels are its own or None.

    Several processes may read different images of one set at the same time.
    """

    name: str
    """How messages, manifests and reports call it."""

    @property
    def fingerprint(self) -> str:
        """Changes when any image or their order does; labels are no part of it."""
        ...

    @property
    def labels(self) -> Sequence[int] | None:
        """Number in `classes` of every image, or None where the set has no labels."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes as they read in a sentence; empty without labels.

        A name can occur twice (ImageNet has two classes called missile); the numbers differ.
        """
        ...

    @property
    def templates(self) -> tuple[str, ...]:
        """Prompts that the benchmark is usually measured with; empty where there is no custom.

        They have the form that `advgen.models.text.fill_template` takes.
        """
        ...

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def __getitem__(self, index: int) -> Image.Image:
        """Image number `index` (from 0), RGB.

        Raises:
            DataError: If the image cannot be read; the message names it.
            IndexError: If there is no such number.
        """
        ...

    def __iter__(self) -> Iterator[Image.Image]:
        """The images in order; raises as `__getitem__` does."""
        ...

    def describe(self, index: int) -> str:
        """What a message calls image number `index`: its path or identity."""
        ...

    def digest(self, index: int) -> str:
        """Identity of one image for fingerprints: changes with its content or its name.

        Raises:
            DataError: If the image's file cannot be read.
        """
        ...


def class_labels(images: ImageSet) -> Sequence[int]:
    """The labels of a set that must have some.

    Raises:
        DataError: If it has none.
    """
    if images.labels is None:
        raise DataError(
            f"the images of {images.name} have no labels; put those of each class into a folder "
            "of its own directly below it, or add metadata.jsonl with file_name and label per "
            "line (folders named train or val: name one of them; folders named n01440764: write "
            "imagenet:PATH)"
        )
    return images.labels


def check_index(index: int, count: int) -> int:
    """The index itself.

    Raises:
        IndexError: If it is not from 0 to `count` - 1.
    """
    if not 0 <= index < count:
        raise IndexError(f"expected an image number from 0 to {count - 1}; got {index}")
    return index
