"""Drawing a released image again from its row."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

from PIL import Image

from advgen.errors import ModelError
from advgen.generation.layout import decode_png, encode_png
from advgen.generation.protocols import DrawRequest
from advgen.registry import resolve


def redraw(row: Mapping[str, Any]) -> bytes:
    """The image of a row, drawn again, as a PNG with the provenance of the released one.

    Exact where a synthesizer draws image by image. One that draws in batches on a GPU gives equal
    pixels only for the whole batch (`synthesizer.batch_size`) on the same hardware.

    Args:
        row: A row after `features`; its image as `{"bytes": PNG}`.

    Raises:
        ConfigError: If the synthesizer is not known here, or its package is not installed.
        ModelError: If the one installed is of another revision, or it rejects the image.
    """
    facts = row["synthesizer"]
    details = json.loads(facts["details"])
    synthesizer = resolve("synthesizer", facts["name"])(**details["options"])
    if synthesizer.revision != facts["revision"]:
        raise ModelError(
            f"the image was drawn by {facts['name']}@{facts['revision']}, installed is"
            f" {synthesizer.revision}; install the version that build.json names"
        )
    request = DrawRequest(row["description"], row["true_class"], facts["seed"], facts["size"])
    try:
        (drawn,) = synthesizer.draw([request])
    finally:
        synthesizer.close()
    if drawn.rejected is not None:
        raise ModelError(f"{facts['name']} rejects the image of {row['id']}: {drawn.rejected}")
    _, provenance = decode_png(row["image"]["bytes"])
    return encode_png(drawn.image, provenance)


def pixels_sha256(png: bytes) -> str:
    """The SHA-256 of an image's RGB values, row by row; the same for every encoding of them."""
    with Image.open(io.BytesIO(png)) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
