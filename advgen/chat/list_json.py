"""Strings in the JSON of a reply, whole or broken off, wherever it stands in the text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_OPEN = re.compile(r'\[\s*(?=["{\[])|\{\s*(?=")')
_BETWEEN = re.compile(r"[\s,]*")
_NUMBERED_KEY = re.compile(r"\D{0,20}\d{1,3}\D{0,3}")
_TEXT_KEYS = ("sentence", "description", "text", "caption", "prompt", "scene", "content")
_DECODER = json.JSONDecoder(strict=False)
_FAILURES = 20
_DEPTH = 20


@dataclass(slots=True)
class JsonParts:
    """What JSON was found in a text.

    Attributes:
        texts: Strings that may be items, in order.
        dropped: Other values of the JSON, with reasons (`empty`, `not_text`, `remark`,
            `cut_off`).
        outside: The text around, in pieces.
        broken: True when the JSON ends before it is closed.
    """

    texts: list[str] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    broken: bool = False


def find_json(text: str) -> JsonParts:
    """Read every array and object of a text; after 20 that cannot be read the rest is plain."""
    parts = JsonParts()
    at = read = failures = 0
    while failures < _FAILURES and (found := _OPEN.search(text, at)):
        end = _read_value(text, found.start(), parts)
        if end is None:
            failures, at = failures + 1, found.end()
            continue
        parts.outside.append(text[read : found.start()])
        at = read = end
    parts.outside.append(text[read:])
    return parts


def _read_value(text: str, start: int, parts: JsonParts) -> int | None:
    """Read the value that begins at `start`; where it ends, or None if nothing can be read."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return _read_broken(text, start + 1, parts) if text[start] == "[" else None
    _collect(value, parts, 0)
    return end


def _read_broken(text: str, at: int, parts: JsonParts) -> int | None:
    """The elements of an array up to where it breaks."""
    count = 0
    while True:
        gap = _BETWEEN.match(text, at)
        at = gap.end() if gap else at
        if text.startswith("]", at):
            return at + 1
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            if not count:
                return None
            if text[at:].strip():
                parts.dropped.append((text[at:], "cut_off"))
            parts.broken = True
            return len(text)
        _collect(value, parts, 0)
        count, at = count + 1, end


def _collect(value: Any, parts: JsonParts, depth: int) -> None:
    if isinstance(value, str) and not value.strip():
        parts.dropped.append((json.dumps(value), "empty"))
    elif isinstance(value, str):
        parts.texts.append(value)
    elif isinstance(value, list) and depth < _DEPTH:
        for element in value:
            _collect(element, parts, depth + 1)
    elif isinstance(value, dict) and value and depth < _DEPTH:
        _collect_object(value, parts, depth)
    else:
        parts.dropped.append((_shown(value), "not_text"))


def _collect_object(value: dict[str, Any], parts: JsonParts, depth: int) -> None:
    """One string of a record with several; the lists of an object that only holds these."""
    strings = {key: part for key, part in value.items() if isinstance(part, str)}
    inner = {key: part for key, part in value.items() if isinstance(part, list | dict)}
    chosen = _item_keys(strings, inner)
    if not chosen:
        parts.dropped.append((_shown(value), "not_text"))
    for key in chosen:
        _collect(value[key], parts, depth + 1)
    for key in [*strings, *inner]:
        if key not in chosen:
            parts.dropped.append((f"{key}: {_shown(value[key])}", "remark"))


def _item_keys(strings: dict[str, str], inner: dict[str, Any]) -> list[str]:
    """The keys of an object behind which items are."""
    named = [key for key in strings if key.lower() in _TEXT_KEYS]
    if named:
        return named[:1]
    if len(strings) > 1 and not inner and all(map(_NUMBERED_KEY.fullmatch, strings)):
        return list(strings)
    longest = max(strings, key=lambda key: len(strings[key]), default=None)
    if longest is None or (inner and len(_shown(inner)) > len(strings[longest])):
        return list(inner)
    return [longest]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return "..."
