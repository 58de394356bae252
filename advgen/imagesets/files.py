"""Image files: finding them below a folder and reading one completely."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from advgen.errors import DataError
from advgen.store import sha256_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class UnreadableImageError(DataError):
    """One image that cannot be read.

    Args:
        name: Its path or identity.
        reason: Why; says neither the name nor anything that differs from run to run.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} is not a readable image ({reason}); remove or replace it")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple[type[UnreadableImageError], tuple[str, str]]:
        return type(self), (self.name, self.reason)


def image_files(root: Path) -> list[Path]:
    """Every image file below a folder in order of path; links are followed, hidden names left out.

    Raises:
        DataError: If there is no such folder or no image in it.
    """
    if not root.is_dir():
        raise DataError(f"there is no image folder {root}")
    found = []
    for current, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if _worth_entering(current, name)]
        here = Path(current)
        found += [here / name for name in files if _is_image_name(name)]
    if not found:
        raise DataError(f"the folder {root} holds no image ({', '.join(SUFFIXES)})")
    return sorted(found)


def open_image(source: Path | io.BytesIO, name: str = "") -> Image.Image:
    """Read an image completely, as RGB.

    Args:
        source: A file, or its bytes.
        name: What messages call it; the path of a file by default.

    Raises:
        DataError: If it is missing, truncated, no image, or too large for Pillow
            (`UnreadableImageError`).
    """
    try:
        with Image.open(source) as image:
            return image.convert("RGB")
    # What a decoder raises over damaged bytes depends on the format: OSError, ValueError,
    # SyntaxError, struct.error, zlib.error, EOFError and more.
    except Exception as error:
        raise UnreadableImageError(name or str(source), _reason(error)) from error


def file_digest(path: Path) -> str:
    """SHA-256 of an image file.

    Raises:
        DataError: If it cannot be read (`UnreadableImageError`).
    """
    try:
        return sha256_file(path)
    except OSError as error:
        raise UnreadableImageError(str(path), _reason(error)) from error


def _worth_entering(parent: str, name: str) -> bool:
    path = os.path.join(parent, name)
    if name.startswith("."):
        return False
    if not os.path.islink(path):
        return True
    inside = Path(os.path.realpath(parent))
    target = Path(os.path.realpath(path))
    return target != inside and target not in inside.parents  # a link upwards would never end


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no known image format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
