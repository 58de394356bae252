"""A built dataset on the disk: what lies where, and reading it.

README.md            the card
croissant.json       the same for machines
fiftyone.yml         how FiftyOne reads the rows
data/test-00000-of-0000N.parquet, or data/PAIR/test-... with one config per pair
build.json           runs, manifests, policy, counts, seeds, versions
dropped.jsonl        what was left out, and why
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advgen.dataset.rows import SPLIT, features
from advgen.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """Paths inside a built dataset."""

    root: Path

    @property
    def card(self) -> Path:
        """The card."""
        return self.root / "README.md"

    @property
    def croissant(self) -> Path:
        """Metadata for machines."""
        return self.root / "croissant.json"

    @property
    def fiftyone(self) -> Path:
        """How FiftyOne reads the rows."""
        return self.root / "fiftyone.yml"

    @property
    def data(self) -> Path:
        """Folder of the rows."""
        return self.root / "data"

    @property
    def build(self) -> Path:
        """How it was built."""
        return self.root / "build.json"

    @property
    def dropped(self) -> Path:
        """What was left out."""
        return self.root / "dropped.jsonl"


@dataclass(frozen=True)
class Built:
    """A built dataset.

    Attributes:
        root: Its folder.
        build: `build.json`.
        card: Text of its card.
        files: Its Parquet files, in order.
    """

    root: Path
    build: dict[str, Any]
    card: str
    files: tuple[Path, ...]

    @cached_property
    def dataset(self) -> Dataset:
        """All rows as one `datasets.Dataset`; its Arrow copy lies in the cache of `datasets`.

        Raises:
            DataError: If the files are no rows of this kind.
        """
        from datasets import Dataset, NamedSplit
        from datasets.exceptions import DatasetGenerationError

        try:
            return Dataset.from_parquet(  # pyright: ignore[reportReturnType]
                [str(path) for path in self.files], features=features(), split=NamedSplit(SPLIT)
            )
        except (DatasetGenerationError, ValueError, OSError) as error:
            raise DataError(f"cannot read the rows of {self.root}: {error}; build it anew") from (
                error
            )

    def rows(self, columns: Sequence[str] | None = None, batch: int = 64) -> Iterator[dict]:
        """The rows in order as plain dicts, a few in memory at a time.

        An image is `{"bytes": PNG, "path": name}`.

        Args:
            columns: What is read; everything if None.
            batch: How many rows are in memory.

        Raises:
            DataError: If a file cannot be read or lacks a column.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        for path in self.files:
            try:
                with pq.ParquetFile(path) as file:
                    missing = set(columns or ()) - set(file.schema_arrow.names)
                    if missing:
                        raise DataError(f"{path} lacks the column '{min(missing)}'; build it anew")
                    for part in file.iter_batches(batch, columns=columns):
                        yield from part.to_pylist()
            except (OSError, ValueError, pa.ArrowException) as error:
                raise DataError(f"cannot read {path}: {error}; build it anew") from error


def read_built(root: Path | str) -> Built:
    """Open a built dataset; rows are read when they are asked for.

    Raises:
        DataError: If something is missing or damaged; the message says what to do.
    """
    layout = DatasetLayout(Path(root))
    if not layout.root.is_dir():
        raise DataError(
            f"there is no folder {layout.root}; make it with: advgen dataset build RUN --out DIR"
        )
    build = _read_build(layout.build)
    try:
        card = layout.card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{layout.root} has no card ({error}); build it anew") from error
    files = tuple(layout.root / name for name in sorted(build["files"]))
    lost = [path for path in files if not path.is_file()]
    if lost:
        raise DataError(f"{lost[0]} is missing; build {layout.root} anew")
    return Built(layout.root, build, card, files)


def _read_build(path: Path) -> dict[str, Any]:
    try:
        build = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path.parent} is no built dataset: it has no {path.name} ({error.strerror}); make one"
            " with: advgen dataset build RUN --out DIR"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); build the dataset anew") from error
    if not isinstance(build, dict) or build.get("format") != FORMAT_VERSION:
        raise DataError(f"{path} is not of format {FORMAT_VERSION}; build the dataset anew")
    for key in ("files", "counts", "settings", "configs", "licence"):
        if not isinstance(build.get(key), dict):
            raise DataError(f"{path} lacks '{key}'; build the dataset anew")
    return build
