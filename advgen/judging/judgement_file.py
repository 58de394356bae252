"""`judgements/NAME.jsonl` while a judge is at work: lines are added, a torn one is cut off."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from advgen.decisions import Judgement, write_rows
from advgen.errors import DataError, StoreError
from advgen.generation.layout import RunLayout


class JudgementFile:
    """What one judge said of the images of one run.

    Rows are added batch by batch and reach the disk before the next batch begins. A process that is
    killed while it writes leaves a last line without an end, which nobody reads and `open` cuts
    off. One process at a time may write.

    Args:
        layout: The run.
        judge: Name of the judge.
    """

    def __init__(self, layout: RunLayout, judge: str) -> None:
        self.path = layout.judgements / f"{re.sub(r'[^-.a-zA-Z0-9]+', '_', judge)}.jsonl"

    def open(self) -> dict[str, Judgement]:
        """What was said before, the last word on each image, by its id; a torn line is cut off.

        Raises:
            DataError: If a whole line is no judgement, or the file cannot be read.
            StoreError: If the file cannot be written.
        """
        if not self.path.is_file():
            return {}
        rows = read_written(self.path)
        whole = _whole_length(_bytes(self.path))
        if whole != self.path.stat().st_size:
            try:
                os.truncate(self.path, whole)
            except OSError as error:
                raise StoreError(f"cannot write {self.path} ({error.strerror})") from error
        return {row.id: row for row in rows}

    def add(self, rows: Sequence[Judgement]) -> None:
        """Add rows at the end, on the disk when this returns.

        Raises:
            StoreError: If they cannot be written.
        """
        if not rows:
            return
        text = "".join(json.dumps(dataclasses.asdict(row), sort_keys=True) + "\n" for row in rows)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"cannot write {self.path} ({error.strerror})") from error

    def settle(self, order: Iterable[str]) -> None:
        """Write the file anew, whole or not at all: one row per image, in order, others left out.

        Args:
            order: Ids of the run's images.
        """
        said = self.open()
        rows = [said[name] for name in order if name in said]
        if said:
            write_rows(rows, self.path)


def read_written(path: Path) -> list[Judgement]:
    """The judgements of a file that may just be written: a last line without an end is left out.

    Raises:
        DataError: If it cannot be read, or a whole line is no judgement (the line is named).
    """
    data = _bytes(path)
    names = {field.name for field in dataclasses.fields(Judgement)}
    rows = []
    for number, line in enumerate(data[: _whole_length(data)].splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            rows.append(Judgement(**{name: fields[name] for name in names}))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path}, line {number}: not a judgement ({error}); delete the file to judge again"
            ) from error
    return rows


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _whole_length(data: bytes) -> int:
    """Length up to the end of the last whole line."""
    return data.rfind(b"\n") + 1
