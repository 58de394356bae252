"""What the review page shows as bytes: images, thumbnails, heat maps, script and style."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response

from advgen.review import pages
from advgen.review.forms import item_name
from advgen.review.items import Item
from advgen.review.security import Refused
from advgen.review.store import ReviewStore
from advgen.review.thumbnails import media_type, thumbnail

HEATMAPS = ("first-order", "second-order")
Heatmap = Callable[[Item, str], "bytes | None"]
_KEPT = "private, max-age=31536000, immutable"
_THUMBS = 4096


@dataclass(frozen=True, slots=True)
class Pictures:
    """The routes that answer with an image.

    Attributes:
        store: Items and votes.
        heatmap: Gives the PNG of an item's heat map of a kind; None: there are none.
        small: Gives the thumbnail of an item by its id.
    """

    store: ReviewStore
    heatmap: Heatmap | None
    small: Callable[[str], bytes]

    def image(self, request: Request) -> Response:
        """The bytes of an image."""
        item = self.store.item(item_name(request.path_params["item_id"]))
        return _picture(request, item.sha256, lambda: self.store.image_bytes(item.id))

    def thumb(self, request: Request) -> Response:
        """A small WebP of an image."""
        item = self.store.item(item_name(request.path_params["item_id"]))
        return _picture(request, item.sha256 + "-thumb", lambda: self.small(item.id))

    def heat(self, request: Request) -> Response:
        """A heat map of an image, where heat maps are made."""
        item = self.store.item(item_name(request.path_params["item_id"]))
        kind = request.query_params.get("kind", HEATMAPS[0])
        if kind not in HEATMAPS:
            raise Refused(404, "There is no heat map of this kind.")

        def draw() -> bytes:
            data = self.heatmap(item, kind) if self.heatmap else None
            if data is None:
                raise Refused(404, "There is no heat map of this image.")
            return data

        return _picture(request, f"{item.sha256}-{kind}", draw)


def open_pictures(store: ReviewStore, heatmap: Heatmap | None) -> Pictures:
    """The pictures of a store; thumbnails stay in memory."""
    return Pictures(store, heatmap, lru_cache(_THUMBS)(lambda item_id: _thumb(store, item_id)))


def static(request: Request) -> Response:
    """The script and the style sheet; the name is looked up in a table, not on the disk."""
    found = pages.static_files().get(request.path_params["name"])
    if found is None:
        raise Refused(404, "There is no such file.")
    data, kind, _ = found
    return Response(data, media_type=kind, headers={"cache-control": _KEPT})


def _picture(request: Request, tag: str, read: Callable[[], bytes]) -> Response:
    headers = {"cache-control": _KEPT, "etag": f'"{tag}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    data = read()
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
