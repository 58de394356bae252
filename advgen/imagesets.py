"""Image sets: what the lens looks at. A folder of files here; the sandbox registers a drawn one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from PIL import Image

from advgen import registry
from advgen.errors import ConfigError, DataError
from advgen.store import sha256_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@runtime_checkable
class ImageSet(Protocol):
    """A fixed, ordered set of images."""

    name: str

    @property
    def fingerprint(self) -> str:
        """Changes when any image or their order does."""
        ...

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def __iter__(self) -> Iterator[Image.Image]:
        """The images in order, RGB.

        Raises:
            DataError: If an image cannot be read.
        """
        ...


class FolderImages:
    """Every image file below a folder, in order of path.

    Args:
        root: The folder.

    Raises:
        DataError: If there is no such folder or no image in it.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"there is no image folder {root}")
        self.name = str(root)
        self.paths = sorted(
            path
            for path in root.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.is_dir()
        )
        self._root = root
        if not self.paths:
            raise DataError(f"the folder {root} holds no image ({', '.join(SUFFIXES)})")

    @property
    def fingerprint(self) -> str:
        """sha256 over relative paths and contents.

        Raises:
            DataError: If a file cannot be read.
        """
        digest = hashlib.sha256()
        for path in self.paths:
            try:
                content = sha256_file(path)
            except OSError as error:
                raise _unreadable(path, error) from error
            digest.update(f"{path.relative_to(self._root).as_posix()}\0{content}\n".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        """See `ImageSet`."""
        return len(self.paths)

    def __iter__(self) -> Iterator[Image.Image]:
        """See `ImageSet`."""
        return (open_image(path) for path in self.paths)


def open_image(path: Path) -> Image.Image:
    """Read an image file completely, as RGB.

    Raises:
        DataError: If the file is missing, truncated, no image, or too large for Pillow.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def load_image_set(spec: str) -> ImageSet:
    """An image set by name.

    Args:
        spec: `NAME:N` for N images of a registered set (`sandbox:2000`), or a folder.

    Raises:
        ConfigError: If the number is missing or not positive.
        DataError: If it is a folder without images.
    """
    name, colon, number = spec.partition(":")
    if colon and name in registry.names("image set"):
        if not number.isdecimal() or int(number) < 1:
            raise ConfigError(
                f"'{spec}': write {name}:N with the number of images, e.g. {name}:2000"
            )
        make: Callable[[int], ImageSet] = registry.resolve("image set", name)
        return make(int(number))
    if not spec or not Path(spec).is_dir():
        known = ", ".join(f"{known}:N" for known in registry.names("image set"))
        raise DataError(f"'{spec}' is neither a folder of images nor one of {known}")
    return FolderImages(Path(spec))


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not a readable image ({error}); remove or replace it")
