"""What in a reply reads like talk to the one who asked, or like a refusal."""

from __future__ import annotations

import re

_REMARK = re.compile(
    r"(#|[-*_=]{3,}|sure\b|certainly\b|of course\b|absolutely\b|okay\b|ok[,.!]|great[,.!]|"
    r"got it\b|understood\b|thank(s| you)\b|here (are|is|you)\b|here's\b|below (are|is)\b|"
    r"the following\b|let me know\b|hope (this|these)\b|feel free\b|please (let|note)\b|"
    r"note( that|:)|as requested\b|i('ve|'ll|'d|'m)?\s|(these|all|each( of the)?|the above) (\d+ )?"
    r"(descriptions?|items|sentences?)\b|these are\b|would you like\b|do you want\b|\[?\.\.\.)",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"((i'm|i am) (really |very |so )?(sorry|afraid)|sorry,|(my )?apolog(ies|y)|i apologi[sz]e|"
    r"i can't|i cannot|i can not|i could not|i won't|i will not|i must decline|i have to decline|"
    r"i do not feel|i don't feel|i('d| would) rather not|i('m| am) unable|i('m| am) not "
    r"(able|allowed|comfortable)|as an? (ai|(large )?language model|assistant)\b|"
    r"unfortunately, i\b|(this|your) request (is|goes|violates)\b)",
    re.IGNORECASE,
)
_BUT_HERE = re.compile(r"\b(here (are|is)|here's)\b", re.IGNORECASE)
_BEFORE = re.compile(r"[*_\u2190-\u2bff\ufe0f\U0001f000-\U0001faff\s]+")


def is_talk(line: str) -> bool:
    """True for a line that announces, closes or comments a list."""
    return line.rstrip("*_ ").endswith((":", "\uff1a")) or bool(_REMARK.match(_plain(line)))


def is_refusal(line: str) -> bool:
    """True for a line that declines; an apology that goes on to the answer does not."""
    plain = _plain(line)
    return bool(_REFUSAL.match(plain)) and not _BUT_HERE.search(plain)


def _plain(line: str) -> str:
    found = _BEFORE.match(line)
    return (line[found.end() :] if found else line).replace("\u2019", "'")
