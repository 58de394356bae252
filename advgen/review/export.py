"""Decisions as files for people and programs: JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from advgen.decisions import Decision, write_rows
from advgen.store import write_atomic

Format = Literal["jsonl", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
_FIELDS = tuple(field.name for field in dataclasses.fields(Decision))


def write_decisions(decisions: Sequence[Decision], path: Path, format: Format = "jsonl") -> None:
    """Write decisions, whole or not at all.

    CSV has an empty cell where nobody could say, and joins reasons and reviewers by `;`.

    Raises:
        ValueError: If there is no such format.
        StoreError: If the file cannot be written.
    """
    if format == "jsonl":
        write_rows(decisions, path)
    elif format == "csv":
        write_atomic(path, _csv(decisions))
    elif format == "parquet":
        write_atomic(path, _parquet(decisions))
    else:
        raise ValueError(f"expected a format out of {', '.join(FORMATS)}; got '{format}'")


def format_of(path: Path) -> Format:
    """The format that a file's name asks for; JSON lines where it says nothing."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return "csv"
    return "parquet" if suffix == ".parquet" else "jsonl"


def _csv(decisions: Sequence[Decision]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_FIELDS)
    for decision in decisions:
        writer.writerow([_cell(getattr(decision, name)) for name in _FIELDS])
    return buffer.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return ";".join(part.replace(";", ",") for part in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _parquet(decisions: Sequence[Decision]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.list_(pa.string())
    types = {
        "true_visible": pa.bool_(),
        "target_visible": pa.bool_(),
        "reasons": names,
        "votes": pa.int64(),
        "reviewers": names,
        "agreement": pa.float64(),
    }
    schema = pa.schema([(name, types.get(name, pa.string())) for name in _FIELDS])
    rows = [dataclasses.asdict(decision) for decision in decisions]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()
