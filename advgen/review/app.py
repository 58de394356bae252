"""The review page as a Starlette app: its routes, its door and its faults.

    GET  /                   the next image, or `?item=ID`; filters: pair, method, disagreement,
                             unjudged, fooled; `after=ID` looks behind that image; `details=1`;
                             `heat=KIND` lays a heat map over it (first-order or second-order)
    GET  /who, POST /who     the reviewer's name, kept in a cookie
    POST /vote, /undo        the same without scripts: a form, answered by a redirect
    GET  /images             all images, small, page by page
    GET  /image/ID, /thumb/ID, /heatmap/ID?kind=KIND
    GET  /api/session        {csrf, reviewer}
    GET  /api/next           {item, preload, progress}
    GET  /api/heatmap/ID?kind=KIND -> {kind, picture, alt, low, high}
    POST /api/votes          {csrf, item, true_visible, target_visible, reasons, note, token}
                             -> {vote, item, preload, progress}
    POST /api/undo           {csrf, token?} -> {item, preload, progress}

A `token` is chosen by the client: the same vote or undo sent again counts once. The `csrf` word
belongs to the session cookie and to this server; after a restart `/api/session` gives a new one.
"""

from __future__ import annotations

import secrets
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from advgen.errors import DataError
from advgen.review import pages
from advgen.review.data import Data
from advgen.review.desk import Desk
from advgen.review.faults import Refused, fault_response
from advgen.review.forms import reviewer_name
from advgen.review.maps import Heatmap, Maps, NoHeatmap
from advgen.review.pictures import open_pictures, static
from advgen.review.screens import Screens
from advgen.review.security import HEADERS, Guard
from advgen.review.store import ReviewStore
from advgen.review.votes import UnknownItem, VoteRefused


def create_app(
    store: ReviewStore,
    *,
    token: str | None = None,
    reviewer: str | None = None,
    heatmap: Heatmap | None = None,
) -> Starlette:
    """The review page of a store.

    Args:
        store: Items and votes.
        token: Needed by everyone, shown once in the address as `?token=`; None: only this machine
            is answered.
        reviewer: Name of who has not given one; None: the page asks.
        heatmap: Draws the heat maps, see `maps.Heatmap`; left out: there are none.

    Raises:
        Refused: If the reviewer's name cannot be kept.
    """
    desk = Desk(store, reviewer_name(reviewer) if reviewer else None)
    maps = Maps(heatmap)
    screens, data, pictures = Screens(desk, maps), Data(desk, maps), open_pictures(store, maps)
    routes = [
        Route("/", screens.review),
        Route("/who", screens.who, methods=["GET", "POST"]),
        Route("/vote", screens.vote_form, methods=["POST"]),
        Route("/undo", screens.undo_form, methods=["POST"]),
        Route("/images", screens.images),
        Route("/image/{item_id}", pictures.image),
        Route("/thumb/{item_id}", pictures.thumb),
        Route("/heatmap/{item_id}", pictures.heat),
        Route("/static/{name}", static),
        Route("/api/session", data.session),
        Route("/api/next", data.next),
        Route("/api/heatmap/{item_id}", data.heatmap),
        Route("/api/votes", data.vote, methods=["POST"]),
        Route("/api/undo", data.undo, methods=["POST"]),
    ]
    faults: Any = {
        Refused: _refused,
        NoHeatmap: _no_heatmap,
        DataError: _data_fault,
        HTTPException: _http_fault,
    }
    door = Middleware(Guard, token=token, secret=secrets.token_bytes(32))
    app = Starlette(routes=routes, exception_handlers=faults | {500: _broken}, middleware=[door])
    app.router.redirect_slashes = False
    return app


def _refused(request: Request, fault: Refused) -> Response:
    return fault_response(request, fault)


def _no_heatmap(request: Request, fault: NoHeatmap) -> Response:
    return fault_response(request, Refused(404, str(fault)))


def _data_fault(request: Request, fault: DataError) -> Response:
    if isinstance(fault, UnknownItem):
        return fault_response(request, Refused(404, "There is no such image."))
    if isinstance(fault, VoteRefused):
        return fault_response(request, Refused(422, str(fault)))
    return fault_response(request, Refused(409, pages.CHANGED))


def _http_fault(request: Request, fault: HTTPException) -> Response:
    answer = fault_response(request, Refused(fault.status_code, fault.detail))
    answer.headers.update(fault.headers or {})
    return answer


def _broken(request: Request, fault: Exception) -> Response:
    answer = fault_response(request, Refused(500, "Something broke; the server's log says what."))
    answer.headers.update(HEADERS)
    return answer
