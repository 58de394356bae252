"""Images as a user names them: single files, folders and image-set specs, one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from advgen.imagesets import ImageSet, load_image_set, open_image
from advgen.imagesets.files import file_digest
from advgen.imagesets.listed import ListedFiles


class PictureFiles(ListedFiles):
    """Single image files as an image set; a file that cannot be read is refused at once.

    Args:
        paths: The files, in order.

    Raises:
        DataError: If one is no readable image.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(tuple(paths))
        self.name = str(self.paths[0]) if len(self.paths) == 1 else f"{len(self.paths)} files"
        self.labels, self.classes, self.templates = None, (), ()
        for path in self.paths:
            open_image(path)

    @property
    def fingerprint(self) -> str:
        """See `ImageSet`."""
        digests = (self.digest(index) for index in range(len(self)))
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def digest(self, index: int) -> str:
        """See `ImageSet`."""
        return file_digest(self.path(index))


def open_pictures(names: Sequence[str]) -> list[ImageSet]:
    """Image sets of what was named, in order; neighbouring files become one set.

    Args:
        names: Paths of image files, folders, or specs (`advgen.imagesets.spec`).

    Raises:
        ConfigError: If a spec cannot be understood.
        DataError: If there is no such file, folder or set, or a file is no readable image.
    """
    sets: list[ImageSet] = []
    files: list[Path] = []
    for name in names:
        if Path(name).is_file():
            files.append(Path(name))
            continue
        if files:
            sets.append(PictureFiles(files))
            files = []
        sets.append(load_image_set(name))
    if files:
        sets.append(PictureFiles(files))
    return sets
