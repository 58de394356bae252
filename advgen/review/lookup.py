"""Items out of the review's tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from advgen.review.intake import judgements_of, sample_of
from advgen.review.items import Item, image_path
from advgen.review.votes import UnknownItem

_ITEM = """
SELECT items.id AS id, runs.path AS path, sample, judgements, shared
FROM items JOIN runs ON runs.id = items.run
"""


def item_named(connection: sqlite3.Connection, name: str) -> Item:
    """An item by its id.

    Raises:
        UnknownItem: If there is none.
        DataError: If its image would lie outside its run.
    """
    row = connection.execute(f"{_ITEM} WHERE items.id = ?", (name,)).fetchone()
    if row is None:
        raise unknown(name)
    return _item(row)


def item_numbered(connection: sqlite3.Connection, number: int | None) -> Item | None:
    """An item by its number; None for None.

    Raises:
        DataError: If its image would lie outside its run.
    """
    return None if number is None else items_numbered(connection, [number])[0]


def items_numbered(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Item]:
    """Items by their numbers, in the order of the review.

    Raises:
        DataError: If an image would lie outside its run.
    """
    marks = ", ".join("?" * len(numbers))
    rows = connection.execute(f"{_ITEM} WHERE number IN ({marks}) ORDER BY place", numbers)
    return [_item(row) for row in rows]


def place_named(connection: sqlite3.Connection, name: str) -> int:
    """Place of an item in the order of the review.

    Raises:
        UnknownItem: If there is no such item.
    """
    row = connection.execute("SELECT place FROM items WHERE id = ?", (name,)).fetchone()
    if row is None:
        raise unknown(name)
    return row[0]


def unknown(name: str) -> UnknownItem:
    """The fault of asking for an item that is not there."""
    return UnknownItem(f"there is no item '{name}' in the review")


def _item(row: sqlite3.Row) -> Item:
    sample, run = sample_of(row["sample"]), Path(row["path"])
    return Item(
        id=row["id"],
        run=run,
        image=image_path(run, sample.path),
        sample=sample,
        judgements=judgements_of(row["judgements"]),
        shared=bool(row["shared"]),
    )
