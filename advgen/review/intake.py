"""Brings what runs hold into a review: new images, redrawn ones, what judges said since."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from advgen.decisions import Judgement, read_judgements
from advgen.errors import RunError
from advgen.generation.layout import RunLayout
from advgen.records import Sample, to_json
from advgen.review.items import (
    LOTS,
    disputed,
    image_path,
    is_inside,
    item_id,
    judged,
    lot_of,
    place_of,
)

_COLUMNS = tuple(field.name for field in dataclasses.fields(Sample))
DOUBLE = 0.1
"""Share of items that every reviewer is asked about, unless it is set."""
_BRING = """
INSERT INTO items (id, run, line, sample, judgements, pair, method, fooled, judged, disputed,
                   place, lot)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET run = excluded.run, line = excluded.line, sample = excluded.sample,
    judgements = excluded.judgements, pair = excluded.pair, method = excluded.method,
    fooled = excluded.fooled, judged = excluded.judged, disputed = excluded.disputed, current = 1
"""


_TALLY = """
DELETE FROM facets;
DELETE FROM tallies;
INSERT INTO facets
SELECT pair, method, fooled, judged, disputed, sum(shared = 0 AND votes = 0), sum(shared)
FROM items WHERE current = 1 GROUP BY pair, method, fooled, judged, disputed;
INSERT INTO tallies
SELECT reviewer, pair, method, fooled, judged, disputed, count(*), sum(shared)
FROM standing JOIN items ON items.number = standing.item
WHERE current = 1 GROUP BY reviewer, pair, method, fooled, judged, disputed
"""


def bring_in(connection: sqlite3.Connection, run: Path) -> bool:
    """Bring in a run, unless it holds what it held before; call it inside a transaction.

    Items of the run whose image is no longer in its records stay with their votes, but are no
    longer asked about.

    Returns:
        Whether items may have changed; `tally` is due then.

    Raises:
        RunError: If the run has no records.
        DataError: If a judgement cannot be read, or a row's image would lie outside the run.
    """
    layout = RunLayout(run.resolve())
    fingerprint = _fingerprint(layout)
    path = str(layout.root)
    known = connection.execute("SELECT fingerprint FROM runs WHERE path = ?", (path,)).fetchone()
    if known is not None and known[0] == fingerprint:
        return False
    connection.execute(
        "INSERT INTO runs (path, fingerprint) VALUES (?, ?) "
        "ON CONFLICT (path) DO UPDATE SET fingerprint = excluded.fingerprint",
        (path, fingerprint),
    )
    number = connection.execute("SELECT id FROM runs WHERE path = ?", (path,)).fetchone()[0]
    connection.execute("UPDATE items SET current = 0 WHERE run = ?", (number,))
    connection.executemany(_BRING, _rows(layout, number))
    return True


def share_out(connection: sqlite3.Connection, double: float | None) -> bool:
    """Mark the share of items that every reviewer is asked about.

    Args:
        connection: Inside a transaction.
        double: The share; None: as before, `DOUBLE` in a new review.

    Returns:
        Whether an item's mark changed; `tally` is due then.

    Raises:
        ValueError: If `double` is not in [0, 1].
    """
    if double is None:
        row = connection.execute("SELECT value FROM settings WHERE name = 'double'").fetchone()
        double = DOUBLE if row is None else float(row[0])
    if not 0.0 <= double <= 1.0:
        raise ValueError(f"expected a share in [0, 1]; got {double}")
    connection.execute(
        "INSERT INTO settings VALUES ('double', ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (repr(double),),
    )
    limit = int(double * LOTS) - 1
    changed = connection.execute(
        "UPDATE items SET shared = (lot <= :limit) WHERE shared <> (lot <= :limit)",
        {"limit": limit},
    )
    return changed.rowcount > 0


def tally(connection: sqlite3.Connection) -> None:
    """Count anew what is open and what is done, per combination of what filters ask for."""
    for statement in _TALLY.split(";"):
        connection.execute(statement)


def records_of(run: Path) -> list[Sample]:
    """The rows of a run.

    Raises:
        RunError: If the run has no records.
    """
    from advgen.attack.records_file import read_records

    return read_records(RunLayout(run).records)


def sample_of(text: str) -> Sample:
    """A row as it lies in the review."""
    row = json.loads(text)
    return Sample(**{**row, "words": tuple(row["words"]), "undrawn": tuple(row["undrawn"])})


def judgements_of(text: str) -> tuple[Judgement, ...]:
    """Judgements as they lie in the review."""
    return tuple(Judgement(**row) for row in json.loads(text))


def _rows(layout: RunLayout, run: int) -> Iterator[tuple]:
    said = _said(layout)
    for line, sample in enumerate(records_of(layout.root)):
        if not is_inside(sample.path):
            image_path(layout.root, sample.path)  # says what is wrong
        name = item_id(sample)
        judgements = judged(sample, said[sample.id])
        # the truth of a drawn scene is left out: a reviewer is not to be told
        row = {name: getattr(sample, name) for name in _COLUMNS}
        text = json.dumps({**row, "truth": ""}, sort_keys=True)
        yield (
            name,
            run,
            line,
            text,
            json.dumps(to_json(judgements)),
            f"{sample.true_class}:{sample.target_class}",
            sample.method,
            sample.fooled,
            bool(judgements),
            disputed(judgements),
            place_of(name),
            lot_of(name),
        )


def _said(layout: RunLayout) -> defaultdict[str, list[Judgement]]:
    said: defaultdict[str, list[Judgement]] = defaultdict(list)
    for path in _judgement_files(layout):
        last = {(row.id, row.sha256, row.judge): row for row in read_judgements(path)}
        for row in last.values():
            said[row.id].append(row)
    return said


def _judgement_files(layout: RunLayout) -> Sequence[Path]:
    return sorted(layout.judgements.glob("*.jsonl"))


def _fingerprint(layout: RunLayout) -> str:
    digest = hashlib.sha256()
    try:
        for path in (layout.records, *_judgement_files(layout)):
            digest.update(f"{path.name}\n{path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    except OSError as error:
        if (layout.root / "build.json").is_file():
            raise RunError(
                f"{layout.root} is a data set, not a run; review the runs that it was built from, "
                "write their decisions with --export, then build it again"
            ) from error
        raise RunError(
            f"cannot read {error.filename}: {error.strerror}; finish the run with `advgen attack`"
        ) from error
    return digest.hexdigest()
