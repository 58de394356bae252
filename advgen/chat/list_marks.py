"""Lines of a reply: list marks, headings, labels, quotes, tables, and what reads like talk."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from advgen.chat.list_talk import is_talk

_FENCE = re.compile(r"^(```|~~~)\s*\w*$")
_BOLD = re.compile(r"\*\*|__")
_ESCAPED = re.compile(r"\\([.*_#()\[\]>~+-])")
_MARK = re.compile(
    r"(?:[-*+–—>~]\s+|[•‣▪◦·●○]\s*|\[[ xX]\]\s*|#\d{1,3}\s+"
    r"|(?:sentence|description|scene|image|photo|prompt|caption|option|item|example)"
    r"\s?#?\d{1,3}\s?[:.)–—-]\s*"
    r"|[(\[]?#?\d{1,3}(?:[.):\]、．]+(?!\d)|\s+[-–—]\s)\s*)+",
    re.IGNORECASE,
)
_KEYCAP = re.compile(r"(\d{1,2})\ufe0f?\u20e3\s*")
_PICTURE = "[\u2190-\u2bff\u3030\ufe0f\u20e3\U0001f000-\U0001faff]"
_PICTURES_BEFORE = re.compile(rf"{_PICTURE}+\s*")
_PICTURES_AFTER = re.compile(rf"\s?{_PICTURE}+$")
_LABEL = re.compile(
    r"(?:\*\*(?P<a>[^*]{1,80})(?::\*\*|\*\*\s?[:–—-])|__(?P<b>[^_]{1,80})(?::__|__\s?[:–—-]))\s?(?=\S)"
)
_AFTERWORD = re.compile(
    r" ?[(\[](?:(?:listed |used )?words?|keywords?|uses?|using|includ\w+|\d+ words?)\b"
    r"[^()\[\]]*[)\]]$",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"[*_(]{0,3}(?:(?:\w{1,12} )?words?(?: used)?|explanation|reason(?:ing)?|rationale|keywords?|"
    r"used|uses|includes?|note|tip|count|total)[*_]{0,3}:",
    re.IGNORECASE,
)
_PAIRS = ('""', "''", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb", "\u201e\u201c", "``", "**")
_PAIRS = (*_PAIRS, "__", "\u300c\u300d")
_QUOTED = re.compile(r'["\u201d]\s?[,;]\s?["\u201c]')
_QUOTED_ONCE = re.compile(r"'\s?[,;]\s?'")
_COMMENTED = re.compile(r'["\u201c]([^"\u201c\u201d]{8,})["\u201d]\s?[-\u2013\u2014(\[:]')
_INLINE = re.compile(r"(?:^|(?<=\s))(\d{1,3})[.)]\s")
_TAG_ITEM = re.compile(r"<li\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:li|ul|ol|p|br|div|span|b|i|em|strong|html|body|h[1-6])\b[^<>]*>", re.IGNORECASE
)
_BREAKING = re.compile(r"</(?:li|p|div|h[1-6])\s*>|<br\s*/?>", re.IGNORECASE)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_ORDINAL = re.compile(
    r"(?:(\d{1,3})\s|\(?([ivxlc]{1,7})[.)]\s?|\(?([a-z])[.)]\s?)(?=\S)", re.IGNORECASE
)
_SHORTEST_RUN = {"number": 3, "Roman": 2, "letter": 2}
_HEADING_WORDS = 5
_NESTED_QUOTES = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a reply.

    Attributes:
        raw: As it stands, without the white space around it.
        text: Without marks, bold, quotes and such; may be empty.
        indent: White space before it, in columns.
        marked: True with a number, bullet or quotes: a list item by its form.
        note: Why it is no item whatever its text (`remark`), or None.
    """

    raw: str
    text: str
    indent: int = 0
    marked: bool = False
    note: str | None = None


def read_lines(text: str) -> list[Line]:
    """The lines of a text that are not empty, continued lines joined, in order."""
    if _TAG_ITEM.search(text) or _BREAKING.search(text):
        text = _TAG_ITEM.sub("\n- ", _BREAKING.sub("\n", text))
        text = html.unescape(_TAG.sub("", text))
    lines: list[Line] = []
    for whole in text.splitlines():
        bare = whole.expandtabs(4)
        indent = len(bare) - len(bare.lstrip())
        clean = " ".join(_ESCAPED.sub(r"\1", whole).split())
        if clean and not _FENCE.match(clean):
            lines += [_read(part, indent) for part in _parts(clean)]
    return list(_joined(_without_headings(_enumerated(_without_table_heads(lines)))))


def is_quoted(text: str) -> bool:
    """True when a text stands in quotes as a whole."""
    return len(text) > 1 and text[0] + text[-1] in _PAIRS


def clean_item(text: str) -> str:
    """A text without list marks, bold marks, quotes and pictures around it, trailing commas."""
    label = _LABEL.match(text)
    if label:
        title, rest = label["a"] or label["b"], text[label.end() :]
        text = rest if len(rest.split()) >= len(title.split()) else title
    text = " ".join(_BOLD.sub("", text).split())
    for pattern in (_PICTURES_BEFORE, _MARK, _PICTURES_BEFORE):
        found = pattern.match(text)
        text = text[found.end() :] if found else text
    text = text.strip().rstrip(",;\\ ")
    text = _AFTERWORD.sub("", _PICTURES_AFTER.sub("", text))
    commented = _COMMENTED.match(text)
    text = commented[1] if commented else text
    for _ in range(_NESTED_QUOTES):
        text = text[1:-1].strip().rstrip(",;") if is_quoted(text) else text
    return text.strip()


def _read(clean: str, indent: int) -> Line:
    if clean.startswith("|") and clean.count("|") > 1:
        return _table_row(clean, indent)
    keycap = _KEYCAP.match(clean)
    rest = clean[keycap.end() :] if keycap else clean
    bare = _BOLD.sub("", rest).strip()
    mark = _MARK.match(bare)
    unmarked = rest[_mark_length(rest) :]
    label = _LABEL.match(unmarked)
    aside = bool(_ASIDE.match(unmarked))
    pictured = bool(_PICTURES_BEFORE.match(bare)) and not is_talk(bare)
    marked = bool(keycap or mark or label) or pictured or is_quoted(bare.rstrip(",; "))
    return Line(clean, clean_item(unmarked), indent, marked, "remark" if aside else None)


def _mark_length(text: str) -> int:
    """Length of the list mark before a text whose label may be bold."""
    found = _MARK.match(text)
    return found.end() if found and not text.startswith("**") else 0


def _parts(line: str) -> list[str]:
    """The items of a line that holds several: quoted with commas, or numbered from 1 on."""
    inner = line[1:-1].strip() if line[:1] + line[-1:] == "[]" else line
    for pattern, quotes in ((_QUOTED, ('"', "\u201c")), (_QUOTED_ONCE, ("'",))):
        if inner.startswith(quotes) and pattern.search(inner):
            return [f'"{part}"' for part in pattern.split(inner.strip("\"'\u201c\u201d,; "))]
    starts: list[int] = []
    for found in _INLINE.finditer(line):
        if int(found[1]) == len(starts) + 1:
            starts.append(found.start())
    if len(starts) < _SHORTEST_RUN["number"]:
        return [line]
    ends = [*starts, len(line)]
    return [part for a, b in pairwise([0, *ends]) if (part := line[a:b].strip())]


def _table_row(clean: str, indent: int) -> Line:
    cells = [cell.strip() for cell in clean.strip("|").split("|")]
    if not any(cell.strip(":- ") for cell in cells):
        return Line(clean, "", indent, marked=True, note="rule")
    return Line(clean, clean_item(max(cells, key=len)), indent, marked=True)


def _without_table_heads(lines: Sequence[Line]) -> list[Line]:
    """The same with the rows above a table's rule, and the rule, noted as no items."""
    noted: list[Line] = []
    for line in lines:
        if line.note == "rule":
            line = replace(line, note="remark")
            if noted and noted[-1].raw.startswith("|"):
                noted[-1] = replace(noted[-1], note="remark")
        noted.append(line)
    return noted


def _enumerated(lines: Sequence[Line]) -> list[Line]:
    """Lines that count 1, 2, 3 (bare), I, II, III or a, b, c become list items."""
    found = list(lines)
    runs: dict[str, list[tuple[int, Line]]] = {scheme: [] for scheme in _SHORTEST_RUN}
    for at, line in enumerate(lines):
        match = None if line.marked else _ORDINAL.match(_BOLD.sub("", line.raw))
        for scheme, value in _ordinals(match).items() if match else ():
            if value == 1:
                runs[scheme] = []
            if match and value == len(runs[scheme]) + 1:
                text = clean_item(_BOLD.sub("", line.raw)[match.end() :])
                runs[scheme].append((at, replace(line, text=text, marked=True)))
                if value >= _SHORTEST_RUN[scheme]:
                    fresh = runs[scheme] if value == _SHORTEST_RUN[scheme] else runs[scheme][-1:]
                    for index, item in fresh:
                        found[index] = item
    return found


def _ordinals(match: re.Match[str]) -> dict[str, int]:
    """What a line's beginning counts, by scheme; a single letter may be a Roman numeral."""
    values: dict[str, int] = {}
    if match[1]:
        values["number"] = int(match[1])
    elif match[2]:
        digits = [_ROMAN[letter] for letter in match[2].lower()]
        pairs = zip_longest(digits, digits[1:], fillvalue=0)
        values["Roman"] = sum(-a if a < b else a for a, b in pairs)
    letter = match[3] or (match[2] if match[2] and len(match[2]) == 1 else "")
    if letter:
        values["letter"] = ord(letter.lower()) - ord("a") + 1
    return values


def _without_headings(lines: Sequence[Line]) -> list[Line]:
    """The same with short items above deeper ones noted: headings of lists within a list."""
    noted = list(lines)
    for at, (line, below) in enumerate(pairwise(lines)):
        if line.marked and below.marked and below.indent > line.indent and not below.note:
            words, more = len(line.text.split()), len(below.text.split())
            if line.text.endswith(":") or (words < _HEADING_WORDS and words < more):
                noted[at] = replace(line, note="remark")
    return noted


def _joined(lines: Sequence[Line]) -> Iterator[Line]:
    """Items that were broken over lines (indented, going on in lower case) made whole."""
    open_item: Line | None = None
    for line in lines:
        deeper = open_item is not None and open_item.marked and line.indent > open_item.indent
        if open_item and deeper and not line.marked and not line.note and line.text[:1].islower():
            raw, text = f"{open_item.raw} {line.raw}", f"{open_item.text} {line.text}"
            open_item = replace(open_item, raw=raw, text=text)
            continue
        if open_item:
            yield open_item
        open_item = line
    if open_item:
        yield open_item
