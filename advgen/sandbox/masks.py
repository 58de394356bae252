"""Drawn scenes with the exact mask of their main thing: segmentation's offline data set."""

from __future__ import annotations

import hashlib

from advgen.evaluate.segmentation.masksets import MaskedImage, MaskSet
from advgen.imagesets.files import UnreadableImageError
from advgen.imagesets.protocol import check_index
from advgen.sandbox.images import DRAWN_SIZE, SandboxImages, open_sandbox
from advgen.sandbox.render import render_masks, render_scene


class SandboxMasks:
    """The scenes of `SandboxImages`; the mask is the visible region of the thing in front.

    Args:
        images: The scenes.
    """

    def __init__(self, images: SandboxImages) -> None:
        self.name = images.name
        self._images = images

    @property
    def fingerprint(self) -> str:
        """See `MaskSet`."""
        return hashlib.sha256(f"masks {self._images.fingerprint}".encode()).hexdigest()

    @property
    def classes(self) -> tuple[str, ...]:
        """See `MaskSet`; everything that the sandbox draws."""
        return self._images.classes

    @property
    def templates(self) -> tuple[str, ...]:
        """See `MaskSet`; none."""
        return self._images.templates

    def __len__(self) -> int:
        """See `MaskSet`."""
        return len(self._images)

    def __getitem__(self, index: int) -> MaskedImage:
        """See `MaskSet`.

        Raises:
            UnreadableImageError: If no pixel of the main thing can be seen.
        """
        scene = self._images.scene(check_index(index, len(self)))
        size = self._images.size
        mask = render_masks(scene, size)[-1]
        if mask.box is None:
            raise UnreadableImageError(self.describe(index), "its main thing is hidden")
        return MaskedImage(render_scene(scene, size), mask.visible, mask.item.concept)

    def describe(self, index: int) -> str:
        """See `MaskSet`."""
        return self._images.describe(index)


def open_masks(
    place: str, *, single: bool = False, seed: int = 0, size: int = DRAWN_SIZE
) -> MaskSet:
    """The source `sandbox:N`: N drawn scenes with masks.

    Args:
        place: How many, in digits.
        single: See `SandboxImages`.
        seed: See `SandboxImages`.
        size: See `SandboxImages`.

    Raises:
        ConfigError: If the number is missing or not positive, or the images would have no pixel.
    """
    images = open_sandbox(place, single=single, seed=seed, size=size)
    assert isinstance(images, SandboxImages)
    return SandboxMasks(images)
