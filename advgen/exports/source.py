"""The rows that are exported, streamed: of a built dataset, or of a run that is to be reviewed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from advgen.errors import DataError
from advgen.records import ClassPair

_NEEDED = ("id", "sha256", "true_class", "target_class", "description")
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Row:
    """One image with what is known of it.

    Attributes:
        id: Of the sample.
        sha256: Of the image's bytes.
        true_class: What it shows.
        target_class: What it is taken for.
        description: What was drawn.
        image: The image file's bytes, as stored.
        columns: Every column but the image, in their order.
    """

    id: str
    sha256: str
    true_class: str
    target_class: str
    description: str
    image: bytes
    columns: Mapping[str, Any]

    @property
    def judged(self) -> tuple[str, float, float] | None:
        """Judge, probability that the true class is there, that the target is not; None: nobody."""
        found = self.columns.get("verification") or self.columns
        present, absent = found.get("p_true_present"), found.get("p_target_absent")
        if present is None or absent is None:
            return None
        return _judge_name(found), float(present), float(absent)


@dataclass(frozen=True, slots=True)
class Source:
    """Rows on disk, read a few at a time.

    Attributes:
        root: Folder that was opened.
        kind: A built `dataset`, or a `run`.
        files: Parquet files with the rows, in order.
        schema: Of these files.
        prompts: Lists of class prompts that the rows were scored with.
        pairs: Only rows of these pairs; empty: of all.
    """

    root: Path
    kind: Literal["dataset", "run"]
    files: tuple[Path, ...]
    schema: pa.Schema
    prompts: tuple[tuple[str, ...], ...] = ()
    pairs: tuple[ClassPair, ...] = ()

    def only(self, pairs: Sequence[ClassPair]) -> Source:
        """The rows of some pairs.

        Raises:
            DataError: If one of them has no rows.
        """
        known = self.found_pairs()
        for pair in pairs:
            if pair not in known:
                there = ", ".join(str(found) for found in known) or "none"
                raise DataError(f"{self.root} holds no rows of the pair {pair}; pairs: {there}")
        return replace(self, pairs=tuple(pairs))

    def found_pairs(self) -> list[ClassPair]:
        """Pairs that have rows, in order of first appearance."""
        return list(dict.fromkeys(self._pair_per_row()))

    def classes(self) -> list[str]:
        """True and target classes, in order of first appearance."""
        sides = [side for p in self.found_pairs() for side in (p.true_class, p.target_class)]
        return list(dict.fromkeys(sides))

    def __len__(self) -> int:
        """Number of rows."""
        return sum(1 for _pair in self._pair_per_row())

    def identities(self) -> dict[str, str]:
        """Id -> SHA-256 of the image, for every row."""
        table = self._columns(("id", "sha256"))
        return dict(zip(table["id"].to_pylist(), table["sha256"].to_pylist(), strict=True))

    def rows(self) -> Iterator[Row]:
        """The rows with their images, each image checked against its hash.

        Raises:
            DataError: If an image is missing or is not the one that the row was made for.
        """
        for file in self.files:
            with pq.ParquetFile(file) as opened:
                groups = [g for g in range(opened.num_row_groups) if self._wanted_in(opened, g)]
                for batch in opened.iter_batches(_BATCH, row_groups=groups):
                    for values in batch.to_pylist():
                        if self._wanted(_pair(values)):
                            yield self._row(values)

    def _wanted_in(self, opened: pq.ParquetFile, group: int) -> bool:
        """Whether a group of rows has any that are wanted, by its small columns alone."""
        if not self.pairs:
            return True
        table = opened.read_row_group(group, columns=["true_class", "target_class"])
        return any(self._wanted(_pair(values)) for values in table.to_pylist())

    def _row(self, values: dict[str, Any]) -> Row:
        image = self._image(values.pop("image", None), values)
        if hashlib.sha256(image).hexdigest() != values["sha256"]:
            raise DataError(
                f"the image of '{values['id']}' in {self.root} is not the one that was scored "
                f"(its SHA-256 differs); build the dataset again or finish the run again"
            )
        return Row(**{name: values[name] for name in _NEEDED}, image=image, columns=values)

    def _image(self, stored: Mapping[str, Any] | None, values: Mapping[str, Any]) -> bytes:
        if stored and stored.get("bytes"):
            return stored["bytes"]
        name = (stored or {}).get("path") or values.get("path")
        path = (self.root / str(name)).resolve()
        if not name or not path.is_relative_to(self.root.resolve()):
            raise DataError(f"the row '{values['id']}' of {self.root} has no image inside it")
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read the image of '{values['id']}': {error}") from error

    def _wanted(self, pair: ClassPair) -> bool:
        return not self.pairs or pair in self.pairs

    def _pair_per_row(self) -> Iterator[ClassPair]:
        table = self._columns(("true_class", "target_class"))
        for values in table.to_pylist():
            pair = _pair(values)
            if self._wanted(pair):
                yield pair

    def _columns(self, names: Sequence[str]) -> pa.Table:
        return pa.concat_tables(pq.read_table(file, columns=list(names)) for file in self.files)


def open_source(path: Path) -> Source:
    """The rows of a run (`records.parquet`) or of a built dataset.

    Raises:
        DataError: If the folder is neither, a file cannot be read or lacks a column.
    """
    if (path / "records.parquet").is_file():
        file = path / "records.parquet"
        return Source(path, "run", (file,), _schema(file))
    from advgen.dataset import read_built

    built = read_built(path)
    schemas = [_schema(file) for file in built.files]
    if not schemas:
        raise DataError(f"{path} has no rows; build the dataset again")
    configs = [run.get("config", {}) for run in built.build.get("runs", ())]
    prompts = [tuple(config.get("model", {}).get("templates", ())) for config in configs]
    return Source(path, "dataset", built.files, schemas[0], tuple(dict.fromkeys(prompts)))


def _schema(file: Path) -> pa.Schema:
    try:
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"cannot read {file}: {error}; make it again") from error
    missing = [name for name in _NEEDED if name not in schema.names]
    if missing:
        raise DataError(f"{file} lacks the column '{missing[0]}'; make it again")
    return schema


def _pair(values: Mapping[str, Any]) -> ClassPair:
    return ClassPair(values["true_class"], values["target_class"])


def _judge_name(found: Mapping[str, Any]) -> str:
    """Of a run's row, or of the struct `verification`."""
    names = [str(judge["name"]) for judge in found.get("judges") or ()]
    return "+".join(names) or str(found.get("judge") or found.get("by") or "judges")
