"""What lies where in a run directory, and how images carry their own provenance.

    run.toml             the full effective config
    manifest.json        versions, models, hashes
    words.json           mined and dropped words
    descriptions.jsonl   accepted and rejected sentences
    images/PAIR/METHOD/rR/dDD-iII.png
    units/PAIR/METHOD/rR/dDD.json    scored rows of one description, when all its images are there
    records.parquet, report.html, contact.png
    judgements/NAME.jsonl, decisions.jsonl, review.sqlite    what judges and people say

Every file appears whole or not at all (`store.write_atomic`), so a run that was killed at any
moment continues from what is on disk.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from advgen.records import ClassPair

_CHUNK = "advgen"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair with one method in one repeat: the unit that a success rate is reported for."""

    pair: ClassPair
    method: str
    repeat: int

    @property
    def slug(self) -> str:
        """Relative folder of the cell."""
        return f"{self.pair.slug}/{self.method}/r{self.repeat}"


@dataclass(frozen=True, slots=True)
class RunLayout:
    """Paths inside a run directory."""

    root: Path

    @property
    def config(self) -> Path:
        """The effective config."""
        return self.root / "run.toml"

    @property
    def manifest(self) -> Path:
        """Versions, models, hashes."""
        return self.root / "manifest.json"

    @property
    def words(self) -> Path:
        """Mined words."""
        return self.root / "words.json"

    @property
    def descriptions(self) -> Path:
        """Sentences."""
        return self.root / "descriptions.jsonl"

    @property
    def records(self) -> Path:
        """One row per image."""
        return self.root / "records.parquet"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.root / "report.html"

    @property
    def contact(self) -> Path:
        """The picture for people."""
        return self.root / "contact.png"

    @property
    def judgements(self) -> Path:
        """Folder of what judges said, a file per judge."""
        return self.root / "judgements"

    @property
    def decisions(self) -> Path:
        """What people decided."""
        return self.root / "decisions.jsonl"

    @property
    def votes(self) -> Path:
        """The review of this run alone, an SQLite file."""
        return self.root / "review.sqlite"

    def image(self, cell: Cell, description: int, index: int) -> Path:
        """Image `index` of a description."""
        return self.root / "images" / cell.slug / f"d{description:02d}-i{index:03d}.png"

    def unit(self, cell: Cell, description: int) -> Path:
        """Rows of a finished description."""
        return self.root / "units" / cell.slug / f"d{description:02d}.json"


def encode_png(image: Image.Image, provenance: Mapping[str, Any]) -> bytes:
    """PNG bytes of an image that carries its provenance as JSON text."""
    info = PngInfo()
    info.add_itxt(_CHUNK, json.dumps(provenance, sort_keys=True))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def decode_png(data: bytes) -> tuple[Image.Image, dict[str, Any]]:
    """Inverse of `encode_png`.

    Raises:
        ValueError: If the bytes are not a whole PNG with provenance.
    """
    if not data.endswith(_PNG_END):
        raise ValueError("not a whole PNG image: its end is missing")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            text = opened.info.get(_CHUNK)
            image = opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise ValueError(f"not a whole PNG image: {error}") from error
    try:
        provenance = json.loads(text or "")
    except ValueError as error:
        raise ValueError("the image carries no provenance") from error
    if not isinstance(provenance, dict):
        raise ValueError("the image carries no provenance")
    return image, provenance
