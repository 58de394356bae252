"""Writing rows as Parquet files of bounded size, a few rows in memory at a time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from advgen.dataset.rows import SPLIT, features

ROW_GROUP = 100
"""Rows per group: what a reader must hold to look at one image."""
SHARD_BYTES = 400_000_000
"""Bytes of images after which a new file is begun."""


class ShardWriter:
    """Writes rows into `FOLDER/test-00000-of-0000N.parquet`; use as a context manager.

    Files get their final names when all are written, since N is known only then.

    Args:
        folder: Where the files go; made if it is not there.
        shard_bytes: Bytes of images per file.
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._limit = folder, shard_bytes
        self._schema = features().arrow_schema
        self._writer: pq.ParquetWriter | None = None
        self._parts: list[Path] = []
        self._rows: list[dict[str, Any]] = []
        self._waiting, self._written = 0, 0
        self.count = 0
        self.image_bytes = 0

    def __enter__(self) -> ShardWriter:
        """Make the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file that is open; `finish` gives the names."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def add(self, row: dict[str, Any]) -> None:
        """Take a row; it is on the disk at the latest after `finish`."""
        size = len(row["image"]["bytes"])
        if self._written + self._waiting and self._written + self._waiting + size > self._limit:
            self._close()
        self._rows.append(row)
        self._waiting += size
        self.count += 1
        self.image_bytes += size
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def finish(self) -> list[Path]:
        """Write what waits and name the files; a dataset without rows is one empty file."""
        if not self._parts and not self._rows:
            self._writer = self._open()
        self._close()
        total = len(self._parts)
        named = []
        for number, part in enumerate(self._parts):
            name = self._folder / f"{SPLIT}-{number:05d}-of-{total:05d}.parquet"
            part.rename(name)
            named.append(name)
        return named

    def _open(self) -> pq.ParquetWriter:
        part = self._folder / f".part-{len(self._parts):05d}"
        self._parts.append(part)
        # Chunks cut by content let the Hub store only what changed between two releases.
        return pq.ParquetWriter(
            part, self._schema, use_content_defined_chunking=True, write_page_index=True
        )

    def _flush(self) -> None:
        if not self._rows:
            return
        self._writer = self._writer or self._open()
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._written, self._waiting = [], self._written + self._waiting, 0

    def _close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._written = 0
