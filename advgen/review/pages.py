"""What the pages show: items as plain values, sentences with their words marked, templates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from advgen.english import inflections, split_at, with_article
from advgen.review.items import Item
from advgen.review.thumbnails import image_size
from advgen.review.votes import Vote

HERE = Path(__file__).parent
REASON_LABELS: dict[str, tuple[str, str]] = {
    "broken": ("b", "Broken drawing"),
    "unclear": ("c", "Unclear"),
    "offensive": ("o", "Offensive"),
    "duplicate": ("d", "Duplicate"),
    "other": ("e", "Something else"),
}
"""Key and label of each reject reason of `votes.REASONS`."""
CHANGED = "The image is gone or was changed on the disk."
"""What reviewers are told of an image that is not the one that the run's records name."""
KEYS = (
    ("1 2 3", "yes, no, cannot tell: to the question that is marked; the second answer saves"),
    ("a", "accept: the first class is visible, the second is not"),
    ("b c o d e", "a reason against the image, to be given before the second answer"),
    ("Enter", "save what is answered; a question left open counts as cannot tell"),
    ("Backspace", "clear the answers"),
    ("n or right arrow", "skip for now"),
    ("u", "undo the last vote"),
    ("i", "show or hide method and margin"),
    ("h", "the image, its first-order and its second-order heat map, in turn"),
    ("g", "all images"),
    ("?", "this help"),
)
_SMALL = 160
_STATIC = {
    "review.css": "text/css",
    "review.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def item_view(item: Item, *, details: bool = False) -> dict[str, Any]:
    """An item as plain values, the same for the page and for its script.

    Args:
        item: What is shown.
        details: With the method, the margin and what judges said; never for an item that is
            labelled blindly by several people.
    """
    width, height = image_size(item.image, item.sha256)
    view: dict[str, Any] = {
        "id": item.id,
        "image": image_url(item),
        "heatmap": image_url(item, "heatmap"),
        "alt": f"Drawn from: {item.description}",
        "width": width or 64,
        "height": height or 64,
        "small": max(width, height) <= _SMALL,
        "true_class": with_article(item.true_class),
        "target_class": with_article(item.target_class),
        "description": marked_parts(item.description, item.words),
        "shared": item.shared,
        "details": None,
    }
    if details and not item.shared:
        view["details"] = _details(item)
    return view


def image_url(item: Item, kind: str = "image") -> str:
    """Address of an item's `image`, `thumb` or `heatmap`; another image has another address."""
    return f"/{kind}/{item.id}?v={item.sha256[:12]}"


def heat_view(item: Item, kind: str, peak: float) -> dict[str, str]:
    """A heat map as plain values, the same for the page and for its script.

    Args:
        item: Whose image is mapped.
        kind: `first-order` or `second-order`.
        peak: What the strongest patch adds to the margin, without its sign.
    """
    end = format(peak, "#.2g")
    return {
        "kind": kind,
        "picture": f"{image_url(item, 'heatmap')}&kind={kind}",
        "alt": f"{kind.capitalize()} heat map of the image drawn from: {item.description}",
        "low": f"\N{MINUS SIGN}{end}",
        "high": f"+{end}",
    }


def vote_view(vote: Vote) -> dict[str, Any]:
    """A vote as plain values, without the name of who voted."""
    return {
        "item": vote.item_id,
        "true_visible": vote.true_visible,
        "target_visible": vote.target_visible,
        "reasons": list(vote.reasons),
        "note": vote.note,
        "status": vote.status,
    }


def marked_parts(text: str, words: Iterable[str]) -> list[tuple[str, bool]]:
    """The pieces of a text, each with whether it is one of the words (in any number, whole)."""
    pieces = split_at(text, {form for word in words for form in inflections(word)})
    return [(piece, number % 2 == 1) for number, piece in enumerate(pieces) if piece]


def render(
    request: Request, name: str, values: Mapping[str, Any], status: int = 200
) -> HTMLResponse:
    """A page from its template."""
    template = _environment().get_template(name)
    html = template.render(csrf=request.state.csrf, **values)
    return HTMLResponse(html, status)


@cache
def static_files() -> dict[str, tuple[bytes, str, str]]:
    """The script, the style sheet and the icon by name: bytes, media type, hash for addresses."""
    files = {}
    for name, kind in _STATIC.items():
        data = (HERE / "static" / name).read_bytes()
        files[name] = (data, kind, hashlib.sha256(data).hexdigest()[:12])
    return files


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["reasons"] = REASON_LABELS
    environment.globals["keys"] = KEYS
    environment.globals["static"] = {
        name: f"/static/{name}?v={version}" for name, (_, _, version) in static_files().items()
    }
    return environment


def _details(item: Item) -> list[tuple[str, str]]:
    fooled = "yes" if item.fooled else "no"
    judges = [
        (
            f"judge {said.judge}",
            f"{item.true_class} present {said.p_true_present:.2f}, "
            f"{item.target_class} absent {said.p_target_absent:.2f}",
        )
        for said in item.judgements
    ]
    return [
        ("method", item.method),
        ("margin", f"{item.margin:+.4f}"),
        ("fooled the model", fooled),
        *judges,
    ]
