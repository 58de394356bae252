"""Image files by number: what sets of files have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from advgen.imagesets.files import open_image
from advgen.imagesets.protocol import check_index


class ListedFiles:
    """Image files in a fixed order.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        """See `ImageSet`."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        """See `ImageSet`."""
        return open_image(self.path(index))

    def __iter__(self) -> Iterator[Image.Image]:
        """See `ImageSet`."""
        return (open_image(path) for path in self.paths)

    def describe(self, index: int) -> str:
        """See `ImageSet`."""
        return str(self.path(index))

    def path(self, index: int) -> Path:
        """File number `index`.

        Raises:
            IndexError: If there is no such number.
        """
        return self.paths[check_index(index, len(self.paths))]
