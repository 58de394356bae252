"""CSV: one table with everything, one sheet for people to fill in, images beside them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from advgen.exports.files import write_file
from advgen.exports.names import ImageNames
from advgen.exports.protocol import ExportOptions
from advgen.exports.questions import TARGET_VISIBLE, TRUE_VISIBLE, WHY
from advgen.exports.sheet import harmless
from advgen.exports.source import Row, Source

_SHEET = ("id", "sha256", "file", "true_class", "target_class")
_TO_FILL = (TRUE_VISIBLE, TARGET_VISIBLE, WHY, "reviewer")


class CsvTable:
    """`records.csv`, `decisions.csv` (to be filled in and imported again) and `images/`.

    Nested columns become `outer.inner`, lists JSON text. Text that a spreadsheet would run as a
    formula is made harmless (`sheet.harmless`).
    """

    name = "csv"
    extra = None
    reads_runs = True

    def export(self, built: Source, out: Path, options: ExportOptions) -> list[Path]:
        """See `Exporter.export`."""
        heads = _heads(built.schema)
        names, images = ImageNames(len(built)), []
        table, sheet = out / "records.csv", out / "decisions.csv"
        with (
            open(table, "w", encoding="utf-8", newline="") as first,
            open(sheet, "w", encoding="utf-8", newline="") as second,
        ):
            records = csv.writer(first, lineterminator="\n")
            decisions = csv.writer(second, lineterminator="\n")
            records.writerow(["file", *heads])
            decisions.writerow([*_SHEET, *_TO_FILL])
            for row in built.rows():
                name = f"images/{names.name(row)}"
                images.append(write_file(out / name, row.image))
                records.writerow([name, *_cells(row, heads)])
                shown = [name if head == "file" else getattr(row, head) for head in _SHEET]
                decisions.writerow([harmless(text) for text in shown] + [""] * len(_TO_FILL))
        return [*images, table, sheet]


def _heads(schema: pa.Schema) -> list[str]:
    heads = []
    for field in schema:
        if field.name != "image":
            heads += _leaves(field.name, field.type)
    return heads


def _leaves(name: str, kind: pa.DataType) -> list[str]:
    if not pa.types.is_struct(kind):
        return [name]
    inner = [kind.field(i) for i in range(kind.num_fields)]
    return [leaf for field in inner for leaf in _leaves(f"{name}.{field.name}", field.type)]


def _cells(row: Row, heads: Sequence[str]) -> list[Any]:
    return [_cell(_value(row.columns, head)) for head in heads]


def _value(columns: Any, head: str) -> Any:
    for part in head.split("."):
        columns = None if columns is None else columns[part]
    return columns


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return harmless(value) if isinstance(value, str) else value
