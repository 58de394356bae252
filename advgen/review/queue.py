"""Which image comes next: the questions that are asked of the review's tables.

An item is asked of a reviewer when it is shared and they have not voted on it, or when it is not
shared and nobody has. Items are found through partial indices by `place`, which hold the columns of
the filters too; progress is a sum over tallies.
"""

from __future__ import annotations

import sqlite3

from advgen.review.items import LOTS, Filters
from advgen.review.votes import Progress

_OPEN = "current = 1 AND shared = 0 AND votes = 0"
_SHARED = (
    "current = 1 AND shared = 1 AND NOT EXISTS "
    "(SELECT 1 FROM standing WHERE reviewer = :reviewer AND item = items.number)"
)


def next_number(
    connection: sqlite3.Connection, reviewer: str, filters: Filters, behind: int
) -> int | None:
    """Number of the next item that is asked of a reviewer, behind a place and round to it."""
    found = progress(connection, reviewer, filters)
    if found.done == found.total:
        return None
    for low, high in ((behind, LOTS - 1), (-1, behind)):
        firsts = [
            _first(connection, kind, reviewer, filters, low, high) for kind in (_OPEN, _SHARED)
        ]
        rows = [row for row in firsts if row is not None]
        if rows:
            return min(rows)[1]
    return None


def page_numbers(
    connection: sqlite3.Connection, filters: Filters, behind: int, limit: int
) -> list[int]:
    """Numbers of the items behind a place, in order, whether voted on or not."""
    wanted, values = _wanted(filters)
    rows = connection.execute(
        f"SELECT number FROM items WHERE current = 1 AND place > :behind {wanted} "
        "ORDER BY place LIMIT :limit",
        {**values, "behind": behind, "limit": limit},
    )
    return [row[0] for row in rows]


def progress(connection: sqlite3.Connection, reviewer: str, filters: Filters) -> Progress:
    """How many items are asked of a reviewer in all, and how many have their vote."""
    wanted, values = _wanted(filters)
    single_open, shared = connection.execute(
        "SELECT coalesce(sum(single_open), 0), coalesce(sum(shared), 0) FROM facets "
        f"WHERE true {wanted}",
        values,
    ).fetchone()
    done, shared_done = connection.execute(
        "SELECT coalesce(sum(done), 0), coalesce(sum(shared_done), 0) FROM tallies "
        f"WHERE reviewer = :reviewer {wanted}",
        {**values, "reviewer": reviewer},
    ).fetchone()
    return Progress(done, done + single_open + shared - shared_done)


def _first(
    connection: sqlite3.Connection,
    kind: str,
    reviewer: str,
    filters: Filters,
    low: int,
    high: int,
) -> tuple[int, int] | None:
    wanted, values = _wanted(filters)
    row = connection.execute(
        f"SELECT place, number FROM items WHERE {kind} AND place > :low AND place <= :high "
        f"{wanted} ORDER BY place LIMIT 1",
        {**values, "reviewer": reviewer, "low": low, "high": high},
    ).fetchone()
    return None if row is None else tuple(row)


def _wanted(filters: Filters) -> tuple[str, dict[str, object]]:
    """The filters as SQL: fixed texts, values bound."""
    clauses, values = "", {}
    if filters.pair is not None:
        clauses, values["pair"] = clauses + " AND pair = :pair", filters.pair
    if filters.method is not None:
        clauses, values["method"] = clauses + " AND method = :method", filters.method
    clauses += " AND disputed = 1" if filters.disagreement else ""
    clauses += " AND judged = 0" if filters.unjudged else ""
    clauses += " AND fooled = 1" if filters.fooled else ""
    return clauses, values
