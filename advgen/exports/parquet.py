"""Parquet files with the images inside, as `datasets.load_dataset(DIR)` reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from advgen.exports.names import ImageNames
from advgen.exports.protocol import ExportOptions
from advgen.exports.source import Source

FILE_ROWS = 5_000
_GROUP = 100


class ParquetFiles:
    """`data/test-00000-of-0000N.parquet`, the schema (with its features) as it was built."""

    name = "parquet"
    extra = None
    reads_runs = False

    def export(self, built: Source, out: Path, options: ExportOptions) -> list[Path]:
        """See `Exporter.export`."""
        (out / "data").mkdir()
        rows, total = _rows(built), len(built)
        count = -(-total // FILE_ROWS)
        files = [out / "data" / f"test-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
        for number, file in enumerate(files):
            left = min(FILE_ROWS, total - number * FILE_ROWS)
            with pq.ParquetWriter(file, built.schema, compression="zstd") as writer:
                while left:
                    group = [next(rows) for _ in range(min(_GROUP, left))]
                    writer.write_table(pa.Table.from_pylist(group, schema=built.schema))
                    left -= len(group)
        return files


def _rows(built: Source) -> Iterator[dict[str, Any]]:
    names = ImageNames(0)
    for row in built.rows():
        yield {**row.columns, "image": {"bytes": row.image, "path": names.name(row)}}
