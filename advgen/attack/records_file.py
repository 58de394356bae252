"""`records.parquet`: the rows of a run with a fixed schema."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from advgen.errors import RunError
from advgen.records import Sample
from advgen.store import write_atomic

_TYPES: dict[str, pa.DataType] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "float | None": pa.float64(),
    "bool": pa.bool_(),
    "tuple[str, ...]": pa.list_(pa.string()),
}
SCHEMA = pa.schema([(field.name, _TYPES[str(field.type)]) for field in dataclasses.fields(Sample)])


def write_records(samples: Sequence[Sample], path: Path) -> None:
    """Write the rows, in order, whole or not at all."""
    columns = {name: [_plain(getattr(sample, name)) for sample in samples] for name in SCHEMA.names}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SCHEMA), buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def read_records(path: Path) -> list[Sample]:
    """Inverse of `write_records`.

    Raises:
        RunError: If the file is missing or is not such a table.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            f"cannot read {path}: {error}; finish the run with the same command"
        ) from error
    missing = [name for name in SCHEMA.names if name not in table.schema.names]
    if missing:
        raise RunError(
            f"{path} lacks the column '{missing[0]}'; it was not written by this version"
        )
    return [_sample(row) for row in table.select(SCHEMA.names).to_pylist()]


def sample_from_json(row: dict) -> Sample:
    """A sample from its JSON form."""
    return _sample(row)


def _sample(row: dict) -> Sample:
    return Sample(**{**row, "words": tuple(row["words"]), "undrawn": tuple(row["undrawn"])})


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
