"""Votes and decisions out of CSV and JSON lines, also as spreadsheets leave them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from advgen.decisions import STATUSES, Status
from advgen.errors import DataError
from advgen.exports.sheet import as_written
from advgen.exports.votes import ImportReport, Vote

_YES = ("yes", "y", "true", "t", "1", "1.0", "x", "ja", "j", "wahr", "oui", "vrai", "si", "sí")
_NO = ("no", "n", "false", "f", "0", "0.0", "nein", "falsch", "non", "faux")
_UNSURE = ("", "unsure", "unknown", "unclear", "?", "none", "null", "na", "n/a", "nan")
_ANSWERS = {**dict.fromkeys(_YES, True), **dict.fromkeys(_NO, False)}
_ANSWERS |= dict.fromkeys(_UNSURE, None)
_LONGEST = 200


def csv_votes(text: str, report: ImportReport) -> Iterator[Vote]:
    """A vote per line of a table with a header.

    Columns: `id`, and `true_visible`, `target_visible` (yes, no, unsure) or `status`; if wanted
    `sha256`, `reasons`, `reviewer`, `votes`, `reviewers`, `agreement`. Commas, semicolons or tabs.

    Args:
        text: The file.
        report: Gets empty lines and lines that were not understood.

    Raises:
        DataError: If it is no table, or columns are missing.
    """
    if text[:4].lower() == "sep=":
        text = text.partition("\n")[2]
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [_column(name) for name in next(reader, [])]
        _check_columns(names)
        for cells in reader:
            values = dict(zip(names, (as_written(cell).strip() for cell in cells), strict=False))
            yield from _checked(values, f"line {reader.line_num}", report)
    except csv.Error as error:
        raise DataError(f"line {reader.line_num}: not CSV ({error})") from error


def jsonl_votes(text: str, report: ImportReport) -> Iterator[Vote]:
    """A vote per line, e.g. of a `decisions.jsonl`; keys as the columns of `csv_votes`."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            report.problems.append(f"line {number}: not JSON ({error})")
            continue
        if not isinstance(values, dict):
            report.problems.append(f"line {number}: expected an object")
            continue
        yield from _checked(values, f"line {number}", report)


def _checked(values: Mapping[str, Any], place: str, report: ImportReport) -> Iterator[Vote]:
    said = [values.get(name) for name in ("true_visible", "target_visible", "status", "reasons")]
    if all(value in (None, "", [], ()) for value in said):
        report.empty += 1
        return
    try:
        yield _vote(values)
    except ValueError as error:
        report.problems.append(f"{place}: {error}")


def _vote(values: Mapping[str, Any]) -> Vote:
    name = values.get("id")
    if not isinstance(name, str) or not name:
        raise ValueError("it has no id")
    vote = Vote(
        id=name,
        sha256=str(values.get("sha256") or "").lower() or None,
        true_visible=_answer(values, "true_visible"),
        target_visible=_answer(values, "target_visible"),
        reasons=_texts(values.get("reasons")),
        status=_status(values.get("status")),
        reviewers=_texts(values.get("reviewers")) or _texts(values.get("reviewer"), whole=True),
        votes=_number(values, "votes", 1, int),
        agreement=_number(values, "agreement", 1.0, float),
    )
    if vote.status == "accepted" and vote.answered == "rejected":
        raise ValueError("it says accepted, and its answers or reasons say rejected")
    if vote.votes < 1 or not 0 <= vote.agreement <= 1:
        raise ValueError("votes must be at least 1, agreement from 0 to 1")
    return vote


def _answer(values: Mapping[str, Any], field: str) -> bool | None:
    text = str(values.get(field, "") if values.get(field) is not None else "").strip().lower()
    if text not in _ANSWERS:
        raise ValueError(f"{field} is '{text[:40]}'; write yes, no or unsure")
    return _ANSWERS[text]


def _status(value: Any) -> Status | None:
    text = str(value or "").strip().lower()
    text = {"accept": "accepted", "reject": "rejected"}.get(text, text)
    if not text:
        return None
    for status in STATUSES:
        if text == status:
            return status
    raise ValueError(f"status is '{text[:40]}'; write one of {', '.join(STATUSES)}")


def _texts(value: Any, *, whole: bool = False) -> tuple[str, ...]:
    """A list of texts; in one text they are split at commas, semicolons and bars."""
    if isinstance(value, str):
        value = [value] if whole else _from_json(value) or re.split(r"[,;|]", value)
    if not isinstance(value, list | tuple | type(None)):
        raise ValueError(f"expected a text or a list of texts; got {str(value)[:40]}")
    texts = tuple(" ".join(str(text).split()) for text in value or ())
    if any(len(text) > _LONGEST for text in texts):
        raise ValueError(f"a text is longer than {_LONGEST} letters")
    return tuple(text for text in texts if text)


def _from_json(text: str) -> list[Any] | None:
    """The list that a table has as JSON text; None: it is plain text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _number(values: Mapping[str, Any], field: str, default: Any, kind: type) -> Any:
    value = values.get(field)
    if value in (None, ""):
        return default
    try:
        return kind(value.replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{field} is '{str(value)[:40]}', no number") from error


def _column(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _check_columns(names: list[str]) -> None:
    if "id" not in names:
        shown = ", ".join(name for name in names if name)[:100] or "none"
        raise DataError(f"the first line names no column 'id' (columns: {shown})")
    if not {"status", "true_visible", "target_visible"} & set(names):
        raise DataError("no column 'true_visible', 'target_visible' or 'status'")
