"""What the review page shows as bytes: images, thumbnails, heat maps, script and style."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from advgen.review import pages
from advgen.review.faults import Refused
from advgen.review.forms import item_name
from advgen.review.maps import KINDS, Maps, known_kind
from advgen.review.store import ReviewStore
from advgen.review.thumbnails import media_type, thumbnail

_KEPT = "private, max-age=31536000, immutable"
_ASKED_AGAIN = "private, no-cache"
_THUMBS = 4096


@dataclass(frozen=True, slots=True)
class Pictures:
    """The routes that answer with an image.

    Attributes:
        store: Items and votes.
        maps: Heat maps.
        small: Gives the thumbnail of an item by its id.
        opened: Names this server: what a map looks like depends on the run's settings and model
            too, so browsers keep one only until the review is opened anew.
    """

    store: ReviewStore
    maps: Maps
    small: Callable[[str], bytes]
    opened: str = field(default_factory=lambda: secrets.token_hex(8))

    def image(self, request: Request) -> Response:
        """The bytes of an image."""
        item = self.store.item(item_name(request.path_params["item_id"]))
        headers = _headers(item.sha256, _KEPT)
        return _known(request, headers) or _picture(self.store.image_bytes(item.id), headers)

    def thumb(self, request: Request) -> Response:
        """A small WebP of an image."""
        item = self.store.item(item_name(request.path_params["item_id"]))
        headers = _headers(item.sha256 + "-thumb", _KEPT)
        return _known(request, headers) or _picture(self.small(item.id), headers)

    async def heat(self, request: Request) -> Response:
        """A heat map of an image, where heat maps are made."""
        name = item_name(request.path_params["item_id"])
        item = await run_in_threadpool(self.store.item, name)
        kind = known_kind(request.query_params.get("kind", KINDS[0]))
        headers = _headers(f"{item.sha256}-{kind}-{self.opened}", _ASKED_AGAIN)
        if (known := _known(request, headers)) is not None:
            return known
        return _picture((await self.maps.draw(item, kind)).data, headers)


def open_pictures(store: ReviewStore, maps: Maps) -> Pictures:
    """The pictures of a store; thumbnails stay in memory."""
    return Pictures(store, maps, lru_cache(_THUMBS)(lambda item_id: _thumb(store, item_id)))


def static(request: Request) -> Response:
    """The script and the style sheet; the name is looked up in a table, not on the disk."""
    found = pages.static_files().get(request.path_params["name"])
    if found is None:
        raise Refused(404, "There is no such file.")
    data, kind, _ = found
    return Response(data, media_type=kind, headers={"cache-control": _KEPT})


def _headers(tag: str, kept: str) -> dict[str, str]:
    return {"cache-control": kept, "etag": f'"{tag}"'}


def _known(request: Request, headers: dict[str, str]) -> Response | None:
    """The answer to a browser that has this very picture."""
    same = request.headers.get("if-none-match") == headers["etag"]
    return Response(status_code=304, headers=headers) if same else None


def _picture(data: bytes, headers: dict[str, str]) -> Response:
    try:
        kind = media_type(data)
    except ValueError as error:
        raise Refused(404, "This file is no image that a browser shows.") from error
    return Response(data, media_type=kind, headers=headers)


def _thumb(store: ReviewStore, item_id: str) -> bytes:
    try:
        return thumbnail(store.image_bytes(item_id))
    except ValueError as error:
        raise Refused(404, "This file is no image.") from error
