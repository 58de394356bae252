"""Lists in replies: numbered, bulleted, quoted, JSON or plain lines, with talk around them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_THOUGHT_OPEN = re.compile(r"<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)
_ARRAY = re.compile(r'\[\s*(?=["{])')
_BETWEEN = re.compile(r"[\s,]*")
_FENCE = re.compile(r"^(```|~~~)\w*$")
_BOLD = re.compile(r"\*\*|__")
_MARK = re.compile(r"(?:[-*+–—]\s+|[•‣▪◦·●○]\s*|[(\[]?#?\d{1,3}(?:[.):\]]+(?!\d)|\s+[-–—]\s)\s*)+")
_PAIRS = ('""', "''", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb", "``")
_REMARK = re.compile(
    r"(#|sure\b|certainly\b|of course\b|absolutely\b|okay\b|ok,|here (are|is)\b|here's\b|below "
    r"(are|is)\b|the following\b|let me know\b|i hope\b|hope this\b|feel free\b|please (let|note)\b"
    r"|note( that|:)|these (descriptions|items)\b|would you like\b|do you want\b|\[?\.\.\.)",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"(i'm sorry|i am sorry|sorry,|i apologi[sz]e|i can't|i cannot|i can not|i won't|i'm unable|"
    r"i am unable|i'm not able|i am not able|as an ai\b|unfortunately, i\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class DroppedLine:
    """A piece of a reply that is no item, and why.

    `reason` is `thinking`, `remark`, `refusal`, `empty`, `not_text` or `cut_off`; those who check
    the items further add reasons of their own.
    """

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ListReply:
    """The items of a reply in order, and what was left out of it."""

    items: tuple[str, ...]
    dropped: tuple[DroppedLine, ...]


def parse_list(text: str, *, cut: bool = False) -> ListReply:
    """Find the items of a reply that was asked for a list.

    Where some lines carry a number, a bullet or quotes, the others are talk; where none does, every
    line is an item unless it reads like talk.

    Args:
        text: The reply.
        cut: True when the model was stopped at its token limit: the last item is not whole.

    Returns:
        Items without marks and quotes, with single spaces; nothing is dropped without a reason.
    """
    dropped: list[DroppedLine] = []
    rest = _without_thinking(text, dropped)
    start = _ARRAY.search(rest)
    if start:
        items, end = _json_items(rest, start.end(), dropped)
        if items:
            for line in _lines(rest[: start.start()] + "\n" + rest[end:]):
                if line.strip("{}[]\"':, ") and not line.endswith(('":', "': ")):
                    dropped.append(DroppedLine(line, "remark"))
            return ListReply(tuple(items), tuple(dropped))
    items = _line_items(_lines(rest), dropped)
    if cut and items and not text.endswith("\n"):
        dropped.append(DroppedLine(items.pop(), "cut_off"))
    return ListReply(tuple(items), tuple(dropped))


def _without_thinking(text: str, dropped: list[DroppedLine]) -> str:
    """The reply without what a reasoning model says to itself, closed or not."""
    for pattern in (_THINKING, _THOUGHT_END, _THOUGHT_OPEN):
        for found in pattern.finditer(text):
            dropped.append(DroppedLine(_short(found[0]), "thinking"))
        text = pattern.sub("", text)
    return text


def _lines(text: str) -> list[str]:
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not _FENCE.match(line)]


def _json_items(text: str, at: int, dropped: list[DroppedLine]) -> tuple[list[str], int]:
    """The strings of a JSON array that begins before `at`, whole or broken off, and its end."""
    items: list[str] = []
    decoder = json.JSONDecoder(strict=False)
    while True:
        gap = _BETWEEN.match(text, at)
        at = gap.end() if gap else at
        if text.startswith("]", at):
            return items, at + 1
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            if items and at < len(text):
                dropped.append(DroppedLine(_short(text[at:]), "cut_off"))
            return items, len(text) if items else at
        if isinstance(value, dict):
            value = next((part for part in value.values() if isinstance(part, str)), None)
        clean = " ".join(value.split()) if isinstance(value, str) else ""
        if clean:
            items.append(clean)
        else:
            reason = "empty" if isinstance(value, str) else "not_text"
            dropped.append(DroppedLine(_short(text[at:end]), reason))
        at = end


def _line_items(lines: list[str], dropped: list[DroppedLine]) -> list[str]:
    if lines and _REFUSAL.match(_plain(lines[0])) and not any(map(_is_marked, lines)):
        dropped.extend(DroppedLine(line, "refusal") for line in lines)
        return []
    marked_only = sum(map(_is_marked, lines)) >= 2
    items: list[str] = []
    for line in lines:
        item, marked = clean_item(line), _is_marked(line)
        if not item:
            dropped.append(DroppedLine(line, "empty"))
        elif _REFUSAL.match(_plain(item)):
            dropped.append(DroppedLine(line, "refusal"))
        elif (marked_only and not marked) or (not marked and _is_talk(line)):
            dropped.append(DroppedLine(line, "remark"))
        else:
            items.append(item)
    return items


def clean_item(line: str) -> str:
    """A line without list marks, bold marks, quotes around it and a trailing comma."""
    text = " ".join(_BOLD.sub("", line).split())
    text = _MARK.sub("", text, count=1) if _MARK.match(text) else text
    text = text.strip().rstrip(",;").rstrip()
    while len(text) > 1 and text[0] + text[-1] in _PAIRS:
        text = text[1:-1].strip()
    return text


def _is_marked(line: str) -> bool:
    text = _BOLD.sub("", line).strip()
    bare = text.rstrip(",; ")
    return bool(_MARK.match(text)) or (len(bare) > 1 and bare[0] + bare[-1] in _PAIRS)


def _is_talk(line: str) -> bool:
    return line.rstrip("*_ ").endswith(":") or bool(_REMARK.match(_plain(line)))


def _plain(line: str) -> str:
    return line.replace("\u2019", "'").lstrip("*_ ")


def _short(text: str) -> str:
    clean = " ".join(text.split())
    return clean if len(clean) <= 200 else clean[:197] + "..."
