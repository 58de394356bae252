"""Argilla 2: a folder that `argilla.Dataset.from_disk` reads.

Layout and fields are those of `argilla.Dataset.to_disk` (2.x): `.argilla/dataset.json`,
`.argilla/settings.json`, `records.json`. Images are data URIs, as Argilla itself stores them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from advgen.exports.files import write_json, write_json_list
from advgen.exports.names import ImageNames, image_suffix
from advgen.exports.protocol import REASONS, ExportOptions
from advgen.exports.questions import (
    ANSWERS,
    GUIDELINES,
    TARGET_VISIBLE,
    TRUE_VISIBLE,
    WHY,
    questions,
    suggested,
)
from advgen.exports.source import Row, Source

_TERMS = ("true_class", "target_class", "sha256")
_MIME = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


class Argilla:
    """Settings and records for Argilla 2."""

    name = "argilla"
    extra = None
    reads_runs = True

    def export(self, built: Source, out: Path, options: ExportOptions) -> list[Path]:
        """See `Exporter.export`."""
        shared = {
            "guidelines": GUIDELINES,
            "allow_extra_metadata": False,
            "distribution": {"strategy": "overlap", "min_submitted": 1},
        }
        return [
            write_json(out / ".argilla" / "dataset.json", {"name": options.name, **shared}),
            write_json(out / ".argilla" / "settings.json", {**_settings(), **shared}),
            write_json_list(out / "records.json", _records(built, options)),
        ]


def _settings() -> dict[str, Any]:
    labels = [(TRUE_VISIBLE, "Is the true class in the image?")]
    labels += [(TARGET_VISIBLE, "Is the target class in the image?")]
    return {
        "fields": [
            _part("image", "Image", {"type": "image"}),
            _part("asked", "Look for", {"type": "text", "use_markdown": False}),
            _part("description", "Drawn from", {"type": "text", "use_markdown": False}),
        ],
        "questions": [
            *(_part(n, t, _labels("label_selection", ANSWERS)) for n, t in labels),
            _part(
                WHY,
                "Anything against the image?",
                {**_labels("multi_label_selection", REASONS), "options_order": "natural"},
                required=False,
            ),
        ],
        "metadata": [
            {
                "name": name,
                "title": name,
                "visible_for_annotators": False,
                "settings": {"type": "terms", "values": None, "visible_for_annotators": False},
            }
            for name in _TERMS
        ],
        "vectors": [],
        "mapping": None,
    }


def _part(
    name: str, title: str, settings: dict[str, Any], *, required: bool = True
) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "description": None,
        "required": required,
        "settings": settings,
    }


def _labels(kind: str, answers: Sequence[str]) -> dict[str, Any]:
    options = [{"value": answer, "text": answer} for answer in answers]
    return {"type": kind, "options": options, "visible_options": len(options)}


def _records(built: Source, options: ExportOptions) -> Iterator[dict[str, Any]]:
    names = ImageNames(0)
    for row in built.rows():
        names.name(row)  # refuses an id that comes twice
        yield {
            "id": row.id,
            "fields": {
                "image": _data_uri(row.image),
                "asked": "\n".join(questions(row)),
                "description": row.description,
            },
            "metadata": {name: getattr(row, name) for name in _TERMS},
            "suggestions": _suggestions(row) if options.suggestions else {},
            "responses": {},
            "vectors": {},
        }


def _suggestions(row: Row) -> dict[str, Any]:
    if row.judged is None:
        return {}
    agent = re.sub(r"[^\w:./ -]+", "-", row.judged[0], flags=re.ASCII)
    return {
        field: {"value": answer, "score": probability, "agent": agent}
        for field, (answer, probability) in suggested(row).items()
    }


def _data_uri(image: bytes) -> str:
    return f"data:{_MIME[image_suffix(image)]};base64,{base64.b64encode(image).decode('ascii')}"
