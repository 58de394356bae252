"""The bodies of posts: read up to a limit, as a JSON object or as a form."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from starlette.requests import Request

from advgen.review.faults import Refused

BODY_LIMIT = 64 * 1024
"""Largest body that is read, in bytes."""


async def read_fields(request: Request) -> dict[str, list[str] | object]:
    """The fields of a JSON object or of a posted form; a form's values are lists of texts.

    Raises:
        Refused: 411 or 413 for a body without or beyond the limit, 415 for another type, 400 for
            a malformed one.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/x-www-form-urlencoded"):
        raise Refused(415, "Send JSON or a form.")
    body = await _read_body(request)
    try:
        text = body.decode("utf-8")
        if kind == "application/json":
            fields = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
            if not isinstance(fields, dict):
                raise ValueError("not an object")
            return fields
        pairs = parse_qsl(text, True, True, max_num_fields=64, errors="strict") if text else []
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The message is malformed.") from error
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return dict(values)


async def _read_body(request: Request) -> bytes:
    length = request.headers.get("content-length")
    if length is not None and (not length.isascii() or not length.isdecimal()):
        raise Refused(400, "The message is malformed.")
    if length is not None and (len(length) > 9 or int(length) > BODY_LIMIT):
        raise Refused(413, "The message is too long.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise Refused(413, "The message is too long.")
    return bytes(body)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands twice")
    return fields


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number here")
