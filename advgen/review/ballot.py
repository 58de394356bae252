"""Votes in the review's tables: cast, withdrawn, looked up; never changed, never deleted."""

from __future__ import annotations

import datetime
import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from advgen.review.votes import UnknownItem, Vote, VoteRefused, check_texts, checked_reasons

_VOTE = """
SELECT votes.id AS id, items.id AS name, reviewer, true_visible, target_visible, reasons, note, at,
    EXISTS (SELECT 1 FROM votes AS later WHERE later.withdraws = votes.id) AS withdrawn
FROM votes JOIN items ON items.number = votes.item
"""
_CAST = """
INSERT INTO votes (item, reviewer, true_visible, target_visible, reasons, note, token, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_WITHDRAW = "INSERT INTO votes (item, reviewer, token, withdraws, at) VALUES (?, ?, ?, ?, ?)"
_LAST = """
SELECT id, item FROM votes
WHERE reviewer = ? AND withdraws IS NULL
    AND NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.withdraws = votes.id)
ORDER BY id DESC LIMIT 1
"""
_BALLOTS = """
SELECT items.id AS name, json_extract(sample, '$.id') AS sample_id,
    json_extract(sample, '$.sha256') AS sha256,
    votes.id AS id, votes.reviewer AS reviewer, true_visible, target_visible, reasons, note, at,
    0 AS withdrawn
FROM standing
JOIN votes ON votes.id = standing.vote
JOIN items ON items.number = standing.item
ORDER BY items.run, items.line, items.number, votes.reviewer
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reviewer sends: see `Vote`."""

    true_visible: bool | None
    target_visible: bool | None
    reasons: tuple[str, ...] = ()
    note: str = ""


def cast(
    connection: sqlite3.Connection, reviewer: str, name: str, answer: Answer, token: str
) -> Vote:
    """Add a vote, once per token; call it inside a transaction.

    Raises:
        UnknownItem: If there is no such item.
        VoteRefused: If the answer cannot be kept, or the token was used for something else.
    """
    check_texts(answer.note, token)
    reasons = json.dumps(checked_reasons(answer.reasons))
    item = connection.execute("SELECT number FROM items WHERE id = ?", (name,)).fetchone()
    if item is None:
        raise UnknownItem(f"there is no item '{name}' in the review")
    before = _by_token(connection, reviewer, token)
    if before is None:
        said = (answer.true_visible, answer.target_visible, reasons, answer.note)
        number = connection.execute(_CAST, (item[0], reviewer, *said, token, _now())).lastrowid
    elif before["item"] != item[0] or before["withdraws"] is not None:
        raise VoteRefused("this token was used for another vote; send a new one")
    else:
        number = before["id"]
    return _vote(connection.execute(f"{_VOTE} WHERE votes.id = ?", (number,)).fetchone())


def withdraw(connection: sqlite3.Connection, reviewer: str, token: str | None) -> int | None:
    """Withdraw a reviewer's last vote that stands, once per token; call it inside a transaction.

    Returns:
        Number of its item; None where there is no such vote.

    Raises:
        VoteRefused: If the token cannot be kept or was used for a vote.
    """
    token = token or secrets.token_hex(16)
    check_texts("", token)
    before = _by_token(connection, reviewer, token)
    if before is not None:
        if before["withdraws"] is None:
            raise VoteRefused("this token was used for a vote; send a new one")
        return before["item"]
    last = connection.execute(_LAST, (reviewer,)).fetchone()
    if last is None:
        return None
    connection.execute(_WITHDRAW, (last["item"], reviewer, token, last["id"], _now()))
    return last["item"]


def history(connection: sqlite3.Connection, reviewer: str, limit: int) -> list[Vote]:
    """A reviewer's votes, newest first."""
    rows = connection.execute(
        f"{_VOTE} WHERE reviewer = ? AND withdraws IS NULL ORDER BY votes.id DESC LIMIT ?",
        (reviewer, limit),
    )
    return [_vote(row) for row in rows]


def own_votes(
    connection: sqlite3.Connection, reviewer: str, names: Sequence[str]
) -> dict[str, Vote]:
    """A reviewer's standing votes on some items, by item id."""
    marks = ", ".join("?" * len(names))
    rows = connection.execute(
        f"{_VOTE} WHERE votes.id IN (SELECT vote FROM standing WHERE reviewer = ? AND item IN "
        f"(SELECT number FROM items WHERE id IN ({marks})))",
        (reviewer, *names),
    )
    return {row["name"]: _vote(row) for row in rows}


def ballots(connection: sqlite3.Connection) -> list[tuple[str, str, str, list[Vote]]]:
    """Item id, sample id, hash and standing votes of every item with a vote, in records' order."""
    found: dict[str, tuple[str, str, str, list[Vote]]] = {}
    for row in connection.execute(_BALLOTS):
        name = row["name"]
        ballot = found.setdefault(name, (name, row["sample_id"], row["sha256"], []))
        ballot[3].append(_vote(row))
    return list(found.values())


def _by_token(connection: sqlite3.Connection, reviewer: str, token: str) -> sqlite3.Row | None:
    return connection.execute(
        "SELECT id, item, withdraws FROM votes WHERE reviewer = ? AND token = ?", (reviewer, token)
    ).fetchone()


def _vote(row: sqlite3.Row) -> Vote:
    return Vote(
        id=row["id"],
        item_id=row["name"],
        reviewer=row["reviewer"],
        true_visible=_answer(row["true_visible"]),
        target_visible=_answer(row["target_visible"]),
        reasons=tuple(json.loads(row["reasons"])),
        note=row["note"],
        at=row["at"],
        withdrawn=bool(row["withdrawn"]),
    )


def _answer(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
