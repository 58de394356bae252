"""The review page as a Starlette app: who is asked, what is shown, votes.

    GET  /                   the next image, or `?item=ID`; filters: pair, method, disagreement,
                             unjudged, fooled; `after=ID` looks behind that image
    GET  /who, POST /who     the reviewer's name, kept in a cookie
    POST /vote, /undo        the same without scripts: a form, answered by a redirect
    GET  /images             all images, small, page by page
    GET  /image/ID, /thumb/ID, /heatmap/ID?kind=first-order (or second-order)
    GET  /api/session        {csrf, reviewer}
    GET  /api/next           {item, preload, progress}
    POST /api/votes          {csrf, item, true_visible, target_visible, reasons, note, token}
                             -> {vote, item, preload, progress}
    POST /api/undo           {csrf, token?} -> {item, preload, progress}

A `token` is chosen by the client: the same vote or undo sent again counts once. The `csrf` word
belongs to the session cookie and to this server; after a restart `/api/session` gives a new one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from advgen.errors import DataError
from advgen.review import pages
from advgen.review.forms import (
    Ballot,
    address,
    ballot_from_form,
    ballot_from_json,
    filters_of,
    item_name,
    new_token,
    query_of,
    reviewer_name,
    single,
    vote_token,
)
from advgen.review.items import Filters, Item
from advgen.review.pictures import Heatmap, open_pictures, static
from advgen.review.security import (
    HEADERS,
    Guard,
    Refused,
    check_csrf,
    cookie,
    fault_response,
    read_fields,
)
from advgen.review.store import ReviewStore
from advgen.review.votes import UnknownItem, Vote, VoteRefused

NAME = "advgen_reviewer"
PAGE = 60


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
        heatmap: Gives the PNG of an item's heat map of a kind of `pictures.HEATMAPS`, or None; left
            out: there are none.

    Raises:
        Refused: If the reviewer's name cannot be kept.
    """
    desk = Desk(store, reviewer_name(reviewer) if reviewer else None, heatmap is not None)
    pictures = open_pictures(store, heatmap)
    routes = [
        Route("/", desk.review),
        Route("/who", desk.who, methods=["GET", "POST"]),
        Route("/vote", desk.vote_form, methods=["POST"]),
        Route("/undo", desk.undo_form, methods=["POST"]),
        Route("/images", desk.images),
        Route("/image/{item_id}", pictures.image),
        Route("/thumb/{item_id}", pictures.thumb),
        Route("/heatmap/{item_id}", pictures.heat),
        Route("/static/{name}", static),
        Route("/api/session", desk.session),
        Route("/api/next", desk.api_next),
        Route("/api/votes", desk.api_vote, methods=["POST"]),
        Route("/api/undo", desk.api_undo, methods=["POST"]),
    ]
    faults: Any = {Refused: _refused, DataError: _data_fault, HTTPException: _http_fault}
    door = Middleware(Guard, token=token, secret=secrets.token_bytes(32))
    app = Starlette(routes=routes, exception_handlers=faults | {500: _broken}, middleware=[door])
    app.router.redirect_slashes = False
    return app


@dataclass(frozen=True, slots=True)
class Desk:
    """The routes that need the store.

    Attributes:
        store: Items and votes.
        reviewer: Name of who has not given one.
        mapped: Whether there are heat maps.
    """

    store: ReviewStore
    reviewer: str | None
    mapped: bool

    def review(self, request: Request) -> Response:
        """One image and its two questions."""
        filters = filters_of(request.query_params)
        name = self._name(request)
        if name is None:
            return RedirectResponse(address("/who", filters), 303)
        chosen = request.query_params.get("item")
        if chosen:
            item = self.store.item(item_name(chosen))
        else:
            item = self.store.next_item(name, filters, _after(request))
        details = request.query_params.get("details") == "1"
        values = self._turn(name, filters, item, details=details)
        mine = self.store.votes_of(name, [item.id]).get(item.id) if item else None
        return pages.render(
            request,
            "review.html.j2",
            {
                **values,
                **self._choices(name, filters),
                "details": details,
                "mine": pages.vote_view(mine) if mine else None,
                "token": new_token(),
                "heatmap": self.mapped,
            },
        )

    async def who(self, request: Request) -> Response:
        """Ask for the reviewer's name and keep it."""
        if request.method == "GET":
            return self._ask(request, filters_of(request.query_params))
        fields = await read_fields(request)
        check_csrf(request, single(fields, "csrf"))
        filters = _filters_in(fields)
        try:
            name = reviewer_name(single(fields, "name"))
        except Refused as fault:
            return self._ask(request, filters, fault)
        answer = RedirectResponse(address("/", filters), 303)
        secure = request.url.scheme == "https"
        answer.headers.append("set-cookie", cookie(NAME, quote(name, safe=""), secure=secure))
        return answer

    async def vote_form(self, request: Request) -> Response:
        """A vote from a form; then the next image."""
        fields = await read_fields(request)
        check_csrf(request, single(fields, "csrf"))
        ballot, filters = ballot_from_form(fields), _filters_in(fields)
        name = self._known(request)
        await run_in_threadpool(self._cast, name, ballot)
        return RedirectResponse(address("/", filters, after=ballot.item), 303)

    async def undo_form(self, request: Request) -> Response:
        """Withdraw the last vote; then its image."""
        fields = await read_fields(request)
        check_csrf(request, single(fields, "csrf"))
        filters = _filters_in(fields)
        item = await run_in_threadpool(self.store.undo, self._known(request))
        return RedirectResponse(address("/", filters, **({"item": item.id} if item else {})), 303)

    def images(self, request: Request) -> Response:
        """All images that match, small, with the reviewer's own votes."""
        filters = filters_of(request.query_params)
        name = self._name(request)
        if name is None:
            return RedirectResponse(address("/who", filters), 303)
        cursor = request.query_params.get("cursor")
        cursor = item_name(cursor) if cursor else None
        found = self.store.page(name, filters, cursor, PAGE + 1)
        shown = found[:PAGE]
        votes = self.store.votes_of(name, [item.id for item in shown])
        cards = [
            {
                "href": address("/", filters, item=item.id),
                "thumb": pages.image_url(item, "thumb"),
                "alt": f"Drawn from: {item.description}",
                "pair": f"{item.true_class}, not {item.target_class}",
                "status": votes[item.id].status if item.id in votes else None,
            }
            for item in shown
        ]
        more = address("/images", filters, cursor=shown[-1].id) if len(found) > PAGE else None
        values = {"cards": cards, "more": more, "first": cursor is None}
        return pages.render(
            request,
            "images.html.j2",
            {**values, **self._choices(name, filters), "progress": self._progress(name, filters)},
        )

    def session(self, request: Request) -> Response:
        """The word that posts must carry, and who is voting."""
        return JSONResponse({"csrf": request.state.csrf, "reviewer": self._name(request)})

    def api_next(self, request: Request) -> Response:
        """The next image as data."""
        filters, name = filters_of(request.query_params), self._known(request)
        item = self.store.next_item(name, filters, _after(request))
        details = request.query_params.get("details") == "1"
        return JSONResponse(self._turn(name, filters, item, details=details))

    async def api_vote(self, request: Request) -> Response:
        """A vote as data; answered with the next image."""
        fields = await read_fields(request)
        check_csrf(request, fields.get("csrf"))
        ballot, filters = ballot_from_json(fields), filters_of(request.query_params)
        name = self._known(request)

        def cast() -> dict[str, Any]:
            vote = self._cast(name, ballot)
            item = self.store.next_item(name, filters, ballot.item)
            return {"vote": pages.vote_view(vote), **self._turn(name, filters, item)}

        return JSONResponse(await run_in_threadpool(cast), 201)

    async def api_undo(self, request: Request) -> Response:
        """Withdraw the last vote; answered with its image."""
        fields = await read_fields(request)
        check_csrf(request, fields.get("csrf"))
        if set(fields) - {"csrf", "token"}:
            raise Refused(422, "The message has a field that nobody knows.")
        token = vote_token(fields["token"]) if "token" in fields else None
        filters, name = filters_of(request.query_params), self._known(request)

        def undo() -> dict[str, Any]:
            return self._turn(name, filters, self.store.undo(name, token=token))

        return JSONResponse(await run_in_threadpool(undo))

    def _cast(self, name: str, ballot: Ballot) -> Vote:
        return self.store.vote(
            name,
            ballot.item,
            ballot.true_visible,
            ballot.target_visible,
            ballot.reasons,
            ballot.note,
            token=ballot.token,
        )

    def _turn(
        self, name: str, filters: Filters, item: Item | None, *, details: bool = False
    ) -> dict[str, Any]:
        """An image, the address of the one after it, and how far the reviewer is."""
        coming = self.store.next_item(name, filters, item.id) if item else None
        return {
            "item": pages.item_view(item, details=details) if item else None,
            "preload": pages.image_url(coming) if coming else None,
            "progress": self._progress(name, filters),
        }

    def _progress(self, name: str, filters: Filters) -> dict[str, int]:
        counts = self.store.counts(name, filters)
        return {"done": counts.done, "total": counts.total}

    def _choices(self, name: str, filters: Filters) -> dict[str, Any]:
        return {
            "reviewer": name,
            "filters": filters,
            "query": query_of(filters),
            "pairs": self.store.pairs(),
            "methods": self.store.methods(),
        }

    def _ask(self, request: Request, filters: Filters, fault: Refused | None = None) -> Response:
        values = {
            "query": query_of(filters),
            "name": self._name(request) or "",
            "fault": fault.message if fault else "",
        }
        return pages.render(request, "who.html.j2", values, fault.status if fault else 200)

    def _name(self, request: Request) -> str | None:
        try:
            return reviewer_name(unquote(request.cookies.get(NAME, ""), errors="strict"))
        except (Refused, UnicodeDecodeError):
            return self.reviewer

    def _known(self, request: Request) -> str:
        name = self._name(request)
        if name is None:
            raise Refused(409, "Say who you are first.")
        return name


def _after(request: Request) -> str | None:
    after = request.query_params.get("after")
    return item_name(after) if after else None


def _filters_in(fields: dict[str, Any]) -> Filters:
    return filters_of(dict(parse_qsl(single(fields, "query", ""), max_num_fields=16)))


def _refused(request: Request, fault: Refused) -> Response:
    return fault_response(request, fault)


def _data_fault(request: Request, fault: DataError) -> Response:
    if isinstance(fault, UnknownItem):
        return fault_response(request, Refused(404, "There is no such image."))
    if isinstance(fault, VoteRefused):
        return fault_response(request, Refused(422, str(fault)))
    return fault_response(request, Refused(409, "The image is gone or was changed on the disk."))


def _http_fault(request: Request, fault: HTTPException) -> Response:
    answer = fault_response(request, Refused(fault.status_code, fault.detail))
    answer.headers.update(fault.headers or {})
    return answer


def _broken(request: Request, fault: Exception) -> Response:
    answer = fault_response(request, Refused(500, "Something broke; the server's log says what."))
    answer.headers.update(HEADERS)
    return answer
