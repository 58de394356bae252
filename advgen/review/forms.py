"""What the browser sends, checked field by field: filters in the address, votes, names."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from advgen.review.faults import Refused
from advgen.review.items import Filters
from advgen.review.votes import MAX_NAME, MAX_NOTE, REASONS, VoteRefused, checked_reviewer

_ITEM = re.compile(r"[0-9a-f]{20}", re.ASCII)
FLAGS = ("disagreement", "unjudged", "fooled")
_ANSWERS: dict[str, bool | None] = {"yes": True, "no": False, "unsure": None}
_TOKEN = re.compile(r"[\w-]{8,64}", re.ASCII)
_FILTER_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Ballot:
    """A vote as it came in.

    Attributes:
        item: Id of the image.
        true_visible: Is the true class visible; None: cannot tell.
        target_visible: Is the target class visible; None: cannot tell.
        reasons: Reject reasons out of `REASONS`.
        note: Free text.
        token: Names this vote, so that it counts once however often it is sent.
    """

    item: str
    true_visible: bool | None
    target_visible: bool | None
    reasons: tuple[str, ...]
    note: str
    token: str


def ballot_from_json(fields: Mapping[str, object]) -> Ballot:
    """A vote out of a JSON object.

    Raises:
        Refused: With status 422, if a field is missing, unknown, of another type or too long.
    """
    known = {"csrf", "item", "true_visible", "target_visible", "reasons", "note", "token"}
    _only(fields, known)
    answers = []
    for name in ("true_visible", "target_visible"):
        value = fields.get(name, "missing")
        if not (value is None or isinstance(value, bool)):
            raise Refused(422, f"{name} must be true, false or null.")
        answers.append(value)
    reasons = fields.get("reasons", [])
    if not isinstance(reasons, list):
        raise Refused(422, "reasons must be a list.")
    return _ballot(
        item=fields.get("item"),
        answers=(answers[0], answers[1]),
        reasons=reasons,
        note=fields.get("note", ""),
        token=fields.get("token"),
    )


def ballot_from_form(fields: Mapping[str, object]) -> Ballot:
    """A vote out of a posted form (browsers without scripts); `accept` answers both questions.

    Raises:
        Refused: As `ballot_from_json`.
    """
    _only(
        fields,
        {"csrf", "item", "true", "target", "reason", "note", "token", "accept", "query"},
    )
    if "accept" in fields:
        answers: list[bool | None] = [True, False]
    else:
        answers = []
        for name in ("true", "target"):
            value = single(fields, name, "unsure")
            if value not in _ANSWERS:
                raise Refused(422, "An answer is yes, no or unsure.")
            answers.append(_ANSWERS[value])
    reasons = fields.get("reason", [])
    return _ballot(
        item=single(fields, "item"),
        answers=(answers[0], answers[1]),
        reasons=reasons if isinstance(reasons, list) and "accept" not in fields else [],
        note=single(fields, "note", "").replace("\r\n", "\n"),
        token=single(fields, "token"),
    )


def single(fields: Mapping[str, object], name: str, default: str | None = None) -> str:
    """The one value of a form's field.

    Raises:
        Refused: If it is missing (and there is no default) or stands twice.
    """
    values = fields.get(name, default)
    if isinstance(values, list) and len(values) == 1:
        values = values[0]
    if not isinstance(values, str):
        raise Refused(422, f"The field {name} must be there once.")
    return values


def reviewer_name(text: str) -> str:
    """A reviewer's name with single spaces, its accents composed.

    Raises:
        Refused: If it is empty, longer than `votes.MAX_NAME` or holds signs that cannot be printed.
    """
    try:
        return checked_reviewer(unicodedata.normalize("NFC", text))
    except VoteRefused as error:
        message = f"A name has 1 to {MAX_NAME} printable characters."
        raise Refused(422, message) from error


def vote_token(text: object) -> str:
    """The name that the browser gave a vote or an undo.

    Raises:
        Refused: If it is not 8 to 64 letters, digits or hyphens.
    """
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise Refused(422, "token must be 8 to 64 letters and digits.")
    return text


def filters_of(query: Mapping[str, str]) -> Filters:
    """Filters out of the address; parameters of no filter are left alone.

    Raises:
        Refused: If a value is too long or a flag is neither 0 nor 1.
    """
    for name in ("pair", "method"):
        if len(query.get(name, "")) > _FILTER_LENGTH or not _storable(query.get(name, "")):
            raise Refused(400, f"The filter {name} cannot be read.")
    for name in FLAGS:
        if query.get(name, "") not in ("", "0", "1"):
            raise Refused(400, f"The filter {name} is 1 or left out.")
    return Filters(
        pair=query.get("pair") or None,
        method=query.get("method") or None,
        **{name: query.get(name) == "1" for name in FLAGS},
    )


def query_of(filters: Filters, **more: str) -> str:
    """Inverse of `filters_of`: the part of an address behind the question mark, maybe empty."""
    texts = {name: getattr(filters, name) for name in ("pair", "method")}
    flags = {name: "1" for name in FLAGS if getattr(filters, name)}
    return urlencode({**{k: v for k, v in texts.items() if v}, **flags, **more})


def address(path: str, filters: Filters, **more: str) -> str:
    """Address of a page with its filters."""
    query = query_of(filters, **more)
    return f"{path}?{query}" if query else path


def item_name(text: object) -> str:
    """The id of an item, 20 hex digits.

    Raises:
        Refused: With status 404, if it can be none.
    """
    if not isinstance(text, str) or not _ITEM.fullmatch(text):
        raise Refused(404, "There is no such image.")
    return text


def new_token() -> str:
    """A name for a vote that nobody has given yet."""
    return secrets.token_hex(16)


def _only(fields: Mapping[str, object], known: Collection[str]) -> None:
    if not set(fields) <= set(known):
        raise Refused(422, "The message has a field that nobody knows.")


def _ballot(
    *,
    item: object,
    answers: tuple[bool | None, bool | None],
    reasons: list[object],
    note: object,
    token: object,
) -> Ballot:
    name = item_name(item)
    if not isinstance(note, str) or len(note) > MAX_NOTE or not _storable(note):
        raise Refused(422, f"note must be a text of at most {MAX_NOTE} signs.")
    named = [reason for reason in reasons if isinstance(reason, str) and reason in REASONS]
    if len(named) != len(reasons) or len(set(named)) != len(named):
        raise Refused(422, f"reasons are out of {', '.join(REASONS)}, each once.")
    chosen = tuple(reason for reason in REASONS if reason in named)
    return Ballot(name, *answers, chosen, note.strip(), vote_token(token))


def _storable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text
