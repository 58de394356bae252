"""Images that are there already: the same bytes, or nearly the same picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Why an image is left out.

    Attributes:
        reason: `same file`; `same id`, where a run was drawn twice with other bytes; or `nearly
            the same picture`, with the distance.
        of: Id of the image that stays.
        distance: Hamming distance of the perceptual hashes; None for the others.
    """

    reason: str
    of: str
    distance: int | None = None


class Seen:
    """The images that stay, in the order in which they came; the first of several stays.

    Args:
        near: Largest Hamming distance, in bits of 64, at which two pictures count as one; None:
            only the same bytes do.

    Raises:
        ValueError: If `near` is not in 0..63.
    """

    def __init__(self, near: int | None) -> None:
        if near is not None and not 0 <= near < HASH_BITS:
            raise ValueError(f"expected a distance in 0..{HASH_BITS - 1} or None; got {near}")
        self._near = near
        self._ids: list[str] = []
        self._names: set[str] = set()
        self._files: dict[str, str] = {}
        self._hashes = np.zeros(1024, dtype=np.uint64)

    def add(self, name: str, sha256: str, phash: str) -> Duplicate | None:
        """Take in an image, or say what it duplicates.

        Args:
            name: Id of the image.
            sha256: Of its file.
            phash: Its perceptual hash, 16 hex digits.
        """
        if sha256 in self._files:
            return Duplicate("same file", self._files[sha256])
        if name in self._names:
            return Duplicate("same id", name)
        value = np.uint64(int(phash, 16))
        if self._near is not None and self._ids:
            distances = _bits(self._hashes[: len(self._ids)] ^ value)
            first = int(np.argmax(distances <= self._near))
            if distances[first] <= self._near:
                found = int(distances[first])
                return Duplicate("nearly the same picture", self._ids[first], found)
        if len(self._ids) == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[len(self._ids)] = value
        self._ids.append(name)
        self._names.add(name)
        self._files[sha256] = name
        return None


def perceptual_hash(image: Image.Image) -> str:
    """The 64-bit pHash of a picture (ImageHash's `phash`), as 16 hex digits."""
    import imagehash

    return str(imagehash.phash(image))


def _bits(values: np.ndarray) -> np.ndarray:
    """Number of ones in each 64-bit value."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values)
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)
    return np.unpackbits(octets, axis=1).sum(axis=1)
