"""File names that are safe on every system, whatever ids and classes are called."""

from __future__ import annotations

import hashlib
import re

from advgen.errors import DataError
from advgen.exports.source import Row

FOLDER_IMAGES = 10_000
"""Files per folder that the Hugging Face Hub and most file systems bear."""
_LONGEST = 80
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)")
_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}


def safe_stem(text: str) -> str:
    """A file name without extension: lower-case ASCII letters, digits, `-` and `_`.

    Texts that do not look like that already get a part of their hash, so that different texts stay
    different (also where a file system ignores case).
    """
    plain = _PLAIN.fullmatch(text) and len(text) <= _LONGEST and not _RESERVED.fullmatch(text)
    if plain:
        return text
    shown = re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:_LONGEST].strip("-_") or "x"
    return f"{shown}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def image_suffix(image: bytes) -> str:
    """`png`, `jpg` or `webp` by the first bytes.

    Raises:
        DataError: If it is none of these.
    """
    for magic, suffix in _MAGIC.items():
        if image.startswith(magic):
            return suffix
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    raise DataError("an image is neither PNG, JPEG nor WebP; build the dataset again")


class ImageNames:
    """Relative file names of the images of one export, at most `FOLDER_IMAGES` to a folder.

    Args:
        total: Number of images that will come; few need no folders of their own.
    """

    def __init__(self, total: int) -> None:
        self._in_folders = total > FOLDER_IMAGES
        self._given: set[str] = set()

    def name(self, row: Row) -> str:
        """The next image's name, e.g. `dog-deer-r0-d00-i000-0a1b2c3d4e.png`.

        Raises:
            DataError: If an id comes twice.
        """
        if row.id in self._given:
            raise DataError(f"the id '{row.id}' is there twice; build the dataset again")
        folder = f"{len(self._given) // FOLDER_IMAGES:04d}/" if self._in_folders else ""
        self._given.add(row.id)
        return f"{folder}{safe_stem(row.id)}.{image_suffix(row.image)}"
