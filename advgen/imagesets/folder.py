"""A folder of image files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from advgen.imagesets.files import file_digest, image_files
from advgen.imagesets.labels import Labelling, LabelSource, folder_labels
from advgen.imagesets.listed import ListedFiles
from advgen.imagesets.protocol import ImageSet


class FolderImages(ListedFiles):
    """Every image file below a folder, in order of path.

    Args:
        root: The folder.
        name: What the set is called; the path by default.
        label: How the images get their labels, from the folder and its files.

    Raises:
        DataError: If there is no such folder or no image in it, or its labels do not fit.
    """

    def __init__(
        self,
        root: Path,
        *,
        name: str = "",
        label: Callable[[Path, Sequence[Path]], Labelling | None] = folder_labels,
    ) -> None:
        self.name = name or str(root)
        super().__init__(image_files(root))
        self._root = root
        self._labelling = label(root, self.paths)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over relative paths and contents; the files are read once per object.

        Raises:
            DataError: If a file cannot be read.
        """
        return self._fingerprint

    @property
    def labels(self) -> Sequence[int] | None:
        """See `ImageSet`."""
        return self._labelling.labels if self._labelling else None

    @property
    def classes(self) -> tuple[str, ...]:
        """See `ImageSet`."""
        return self._labelling.classes if self._labelling else ()

    @property
    def templates(self) -> tuple[str, ...]:
        """See `ImageSet`."""
        return self._labelling.templates if self._labelling else ()

    def digest(self, index: int) -> str:
        """See `ImageSet`."""
        return hashlib.sha256(self._line(self.path(index))).hexdigest()

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(self._line(path))
        return digest.hexdigest()

    def _line(self, path: Path) -> bytes:
        return f"{path.relative_to(self._root).as_posix()}\0{file_digest(path)}\n".encode(
            errors="surrogateescape"
        )


def open_folder(place: str, *, labels: LabelSource = "auto") -> ImageSet:
    """The source `folder:PATH`: every image below a folder.

    Args:
        place: The folder.
        labels: What its classes are, see `folder_labels`.

    Raises:
        DataError: See `FolderImages`.
    """
    root = Path(place).expanduser()

    def label(folder: Path, paths: Sequence[Path]) -> Labelling | None:
        return folder_labels(folder, paths, source=labels)

    return FolderImages(root, name=place, label=label)
