"""Images with an exact mask of one thing each: what segmentation is scored on.

    SPEC = SOURCE ":" PLACE [ "?" OPTIONS ]          as in `advgen.imagesets.spec`

| source | place | its own options |
|---|---|---|
| `sandbox` | number of drawn scenes | `single=1` one thing each; `seed=0`; `size=128` pixels |
| `imagenet-seg` | gtsegs_ijcv.mat of ImageNet-Segmentation, or its folder | |

Every source takes `every=K` and `offset=N` (items N, N+K ...), then `limit=N`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool
from PIL import Image

from advgen import registry
from advgen.errors import ConfigError, DataError
from advgen.imagesets.protocol import check_index
from advgen.imagesets.spec import option_types, read_options

KIND = "mask set"


@dataclass(frozen=True, slots=True, eq=False)
class MaskedImage:
    """An image and where its thing is.

    Attributes:
        image: RGB, of any size.
        mask: True where the thing is visible; of the image's size.
        class_name: What it is, as it reads in a sentence; None where nobody knows.
    """

    image: Image.Image
    mask: Bool[np.ndarray, "height width"]
    class_name: str | None


@runtime_checkable
class MaskSet(Protocol):
    """A fixed, ordered set of images with masks, read by number."""

    name: str
    """How messages and results call it."""

    @property
    def fingerprint(self) -> str:
        """Changes when any image, any mask or their order does."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names that a zero-shot classifier of these images chooses from."""
        ...

    @property
    def templates(self) -> tuple[str, ...]:
        """Prompts that the set is usually measured with; empty where there is no custom."""
        ...

    def __len__(self) -> int:
        """How many items there are."""
        ...

    def __getitem__(self, index: int) -> MaskedImage:
        """Item number `index` (from 0).

        Raises:
            DataError: If it cannot be read or has nothing to find; the message names it.
            IndexError: If there is no such number.
        """
        ...

    def describe(self, index: int) -> str:
        """What a message calls item number `index`."""
        ...


class ChosenMasks:
    """Items of another set by their numbers.

    Args:
        masks: The set.
        numbers: Which of its items, in order.
        name: What the choice is called.
    """

    def __init__(self, masks: MaskSet, numbers: Sequence[int], *, name: str) -> None:
        self.name = name
        self._masks, self._numbers = masks, numbers

    @property
    def fingerprint(self) -> str:
        """See `MaskSet`."""
        chosen = ",".join(map(str, self._numbers))
        return hashlib.sha256(f"{self._masks.fingerprint}\n{chosen}".encode()).hexdigest()

    @property
    def classes(self) -> tuple[str, ...]:
        """See `MaskSet`; those of the whole set."""
        return self._masks.classes

    @property
    def templates(self) -> tuple[str, ...]:
        """See `MaskSet`."""
        return self._masks.templates

    def __len__(self) -> int:
        """See `MaskSet`."""
        return len(self._numbers)

    def __getitem__(self, index: int) -> MaskedImage:
        """See `MaskSet`."""
        return self._masks[self._numbers[check_index(index, len(self))]]

    def describe(self, index: int) -> str:
        """See `MaskSet`."""
        return self._masks.describe(self._numbers[check_index(index, len(self))])


def choose_masks(
    masks: MaskSet, *, every: int = 1, offset: int = 0, limit: int | None = None
) -> MaskSet:
    """Every k-th item from an offset on, then cut; the set itself if that is all of it.

    Args:
        masks: The set.
        every: Step k between items.
        offset: Number of the first.
        limit: How many to keep, or None for all.

    Raises:
        DataError: If none is left.
    """
    numbers = range(offset, len(masks), every)[:limit]
    if numbers == range(len(masks)):
        return masks
    if not numbers:
        raise DataError(
            f"offset={offset} leaves none of the {len(masks)} items of {masks.name}; "
            "choose a smaller one"
        )
    options = f"every={every}&offset={offset}&limit={len(numbers)}"
    mark = "&" if "?" in masks.name else "?"
    return ChosenMasks(masks, numbers, name=f"{masks.name}{mark}{options}")


def load_mask_set(spec: str) -> MaskSet:
    """A mask set by name.

    Args:
        spec: `SOURCE:PLACE` with options; the grammar stands at the top of this file.

    Raises:
        ConfigError: If the spec cannot be understood, names an unknown source or option, or a
            package is missing.
        DataError: If there is no such set or it cannot be read.
    """
    head, mark, query = spec.partition("?")
    source, colon, place = head.partition(":")
    if not colon or source not in registry.names(KIND):
        listed = ", ".join(f"{name}:" for name in registry.names(KIND))
        close = registry.closest(source, registry.names(KIND))
        hint = f" (did you mean {close[0]}:?)" if close else ""
        raise ConfigError(f"'{spec}' is no set of images with masks{hint}: write {listed}")
    make: Callable[..., MaskSet] = registry.resolve(KIND, source)
    own, common = option_types(make), option_types(choose_masks)
    values: dict[str, Any] = read_options(spec, query if mark else None, {**own, **common})
    masks = make(place, **{name: value for name, value in values.items() if name in own})
    return choose_masks(masks, **{name: value for name, value in values.items() if name in common})
