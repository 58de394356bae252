"""Bytes of the images: as they are, and small for the overview."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

SIDE = 192
"""Longest side of a thumbnail, in pixels."""

_SIGNS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}


def media_type(data: bytes) -> str:
    """Type of encoded image bytes by their first bytes.

    Raises:
        ValueError: If they are no PNG, JPEG or WebP.
    """
    for sign, kind in _SIGNS.items():
        if data.startswith(sign) and (kind != "image/webp" or data[8:12] == b"WEBP"):
            return kind
    raise ValueError("neither a PNG, a JPEG nor a WebP image")


@lru_cache(maxsize=4096)
def image_size(path: Path, sha256: str) -> tuple[int, int]:
    """Width and height of an image file, read from its head; (0, 0) where it cannot be read.

    Args:
        path: Of the file.
        sha256: Of its bytes; another hash is another entry of the cache.
    """
    try:
        with Image.open(path) as opened:
            return opened.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return (0, 0)


def thumbnail(data: bytes, side: int = SIDE) -> bytes:
    """A WebP of at most `side` pixels; smaller images keep their size.

    Args:
        data: The image, encoded.
        side: Longest side in pixels.

    Raises:
        ValueError: If the bytes are no image.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            image = opened.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not an image: {error}") from error
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=80, method=2)
    return buffer.getvalue()
