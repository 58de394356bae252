"""Lists in replies: numbered, bulleted, quoted, JSON or plain lines, with talk around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from advgen.chat.list_json import JsonParts, find_json
from advgen.chat.list_marks import Line, clean_item, read_lines
from advgen.chat.list_talk import is_refusal, is_talk

_THOUGHT = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff\ud800-\udfff]")
_TURN = re.compile(r"<\|start_header_id\|>\w*<\|end_header_id\|>|<\|\w{1,30}\|>|</?s>")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f]")
_SYNTAX = "{}[]\"':, "
_SHORT = 200


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

    JSON is read where it holds more of the text than marked lines do. Otherwise, where some lines
    carry a number, a bullet or quotes, the others are talk; where none does, every line is an item
    unless it reads like talk. Takes time in proportion to the length of the text.

    Args:
        text: The reply.
        cut: True when the model was stopped at its token limit: the last item is not whole.

    Returns:
        Items without marks and quotes, with single spaces; nothing is dropped without a reason.
    """
    dropped: list[DroppedLine] = []
    rest = _without_thinking(_visible(text), dropped)
    parts = find_json(rest)
    if parts.texts or parts.dropped:
        around = [line for piece in parts.outside for line in read_lines(piece)]
        listed = sum(len(line.text) for line in around if line.marked and not line.note)
        if sum(map(len, parts.texts)) >= listed:
            items = _json_items(parts, around, dropped, cut)
            return ListReply(tuple(items), tuple(dropped))
    items = _line_items(read_lines(rest), dropped)
    if cut and items and not text.endswith("\n"):
        dropped.append(DroppedLine(items.pop(), "cut_off"))
    return ListReply(tuple(items), tuple(dropped))


def _visible(text: str) -> str:
    """The text without what no reader sees, no file can keep, or only marks the model's turn."""
    return _TURN.sub("\n", _CONTROL.sub(" ", _UNSEEN.sub("", text)))


def _without_thinking(text: str, dropped: list[DroppedLine]) -> str:
    """The reply without what a reasoning model says to itself, opened and closed or not."""
    kept: list[str] = []
    thoughts: list[str] = []
    at, thinking = 0, False
    for tag in _THOUGHT.finditer(text):
        piece, closing = text[at : tag.start()], bool(tag[1])
        if thinking and not closing:
            continue
        if thinking:
            thoughts.append(piece)
        elif closing:
            thoughts.append("\n".join([*kept, piece]))
            kept.clear()
        else:
            kept.append(piece)
        at, thinking = tag.end(), not closing
    (thoughts if thinking else kept).append(text[at:])
    dropped.extend(DroppedLine(_short(one), "thinking") for one in thoughts if one.strip())
    return "\n".join(kept)


def _json_items(
    parts: JsonParts, around: Sequence[Line], dropped: list[DroppedLine], cut: bool
) -> list[str]:
    items: list[str] = []
    for text in map(_visible, parts.texts):
        lines = read_lines(text)
        if len(lines) > 2 or any(line.marked for line in lines[1:]):
            items += _line_items(lines, dropped)
        elif not (item := clean_item(" ".join(text.split()))):
            dropped.append(DroppedLine(_short(text), "empty"))
        elif is_refusal(item):
            dropped.append(DroppedLine(_short(item), "refusal"))
        else:
            items.append(item)
    dropped.extend(DroppedLine(_short(_visible(text)), reason) for text, reason in parts.dropped)
    for line in around:
        if line.raw.strip(_SYNTAX) and not line.raw.endswith(('":', "': ", "{", "[")):
            broken = cut and line.raw.startswith(("{", "["))
            dropped.append(DroppedLine(_short(line.raw), "cut_off" if broken else "remark"))
    return items


def _line_items(lines: Sequence[Line], dropped: list[DroppedLine]) -> list[str]:
    marked_only = sum(line.marked and not line.note for line in lines) >= 2
    if lines and is_refusal(lines[0].raw) and not marked_only:
        dropped.extend(DroppedLine(_short(line.raw), "refusal") for line in lines)
        return []
    items: list[str] = []
    for line in lines:
        reason = _reason(line, marked_only)
        if reason is None:
            items.append(line.text)
        else:
            dropped.append(DroppedLine(_short(line.raw), reason))
    return items


def _reason(line: Line, marked_only: bool) -> str | None:
    """Why a line is no item, or None."""
    if line.note:
        return line.note
    if not line.text:
        return "empty"
    if is_refusal(line.text):
        return "refusal"
    if not line.marked and (marked_only or is_talk(line.raw)):
        return "remark"
    return None


def _short(text: str) -> str:
    clean = " ".join(text[: 4 * _SHORT].split())
    return clean if len(clean) <= _SHORT else clean[: _SHORT - 3] + "..."
