"""Whether a file can be written, asked before hours of work rather than after."""

from __future__ import annotations

import tempfile
from pathlib import Path

from advgen.errors import StoreError


def require_writable(folder: Path) -> None:
    """Try to write into a folder, or where it will be made; nothing stays behind.

    Args:
        folder: It need not be there yet.

    Raises:
        StoreError: If it cannot be written.
    """
    place = folder.expanduser().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StoreError(
            f"cannot write into {folder} ({error.strerror}); choose another folder"
        ) from error
