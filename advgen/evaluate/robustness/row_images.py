"""The images of a data set's rows, read out of its Parquet files by number."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from advgen.imagesets.files import UnreadableImageError, open_image
from advgen.imagesets.protocol import check_index
from advgen.store import text_sha256


class RowImages:
    """The images of a data set's rows as an `ImageSet`; one group of rows is in memory.

    Args:
        files: Its Parquet files, in order.
        rows: Id and SHA-256 of the image of each row.
        name: Of the data set.
    """

    labels = None
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()

    def __init__(self, files: Sequence[Path], rows: Sequence[tuple[str, str]], name: str) -> None:
        self.name = name
        self._files, self._rows = tuple(files), rows
        self._held: tuple[int, int, list[Any]] = (0, 0, [])

    @property
    def fingerprint(self) -> str:
        """See `ImageSet`."""
        return text_sha256("\n".join(sha256 for _, sha256 in self._rows))

    def __len__(self) -> int:
        """See `ImageSet`."""
        return len(self._rows)

    def __getitem__(self, index: int) -> Image.Image:
        """See `ImageSet`; an image that is not the one that was scored cannot be read either."""
        name, sha256 = self._rows[check_index(index, len(self))]
        data = self._bytes(index)
        if data is None:
            raise UnreadableImageError(name, "the cell is empty")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise UnreadableImageError(name, "it is not the image that was scored (SHA-256)")
        return open_image(io.BytesIO(data), name)

    def __iter__(self) -> Iterator[Image.Image]:
        """See `ImageSet`."""
        return (self[index] for index in range(len(self)))

    def describe(self, index: int) -> str:
        """See `ImageSet`."""
        return self._rows[check_index(index, len(self))][0]

    def digest(self, index: int) -> str:
        """See `ImageSet`."""
        return self._rows[check_index(index, len(self))][1]

    @cached_property
    def _groups(self) -> list[tuple[int, int, int, Path]]:
        """First row, row after the last, number in its file, file; of each group of rows."""
        import pyarrow.parquet as pq

        groups, first = [], 0
        for path in self._files:
            facts = pq.read_metadata(path)
            for number in range(facts.num_row_groups):
                end = first + facts.row_group(number).num_rows
                groups.append((first, end, number, path))
                first = end
        return groups

    def _bytes(self, index: int) -> bytes | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        first, end, cells = self._held
        if not first <= index < end:
            group = next(group for group in self._groups if group[0] <= index < group[1])
            first, end, number, path = group
            try:
                with pq.ParquetFile(path) as file:
                    column = file.read_row_group(number, columns=["image"]).column("image")
            except (OSError, ValueError, pa.ArrowException) as error:
                name, _ = self._rows[index]
                raise UnreadableImageError(name, f"{path.name} cannot be read") from error
            cells = [cell.as_py() for cell in column]
            self._held = first, end, cells
        cell = cells[index - first]
        return cell["bytes"] if cell else None
