"""The review page as data: what its script asks for and sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from advgen.review import pages
from advgen.review.bodies import read_fields
from advgen.review.desk import Desk
from advgen.review.faults import Refused
from advgen.review.forms import ballot_from_json, filters_of, item_name, vote_token
from advgen.review.maps import Maps
from advgen.review.security import check_csrf


@dataclass(frozen=True, slots=True)
class Data:
    """The routes that answer with JSON.

    Attributes:
        desk: Store and reviewer.
        maps: Heat maps.
    """

    desk: Desk
    maps: Maps

    def session(self, request: Request) -> Response:
        """The word that posts must carry, and who is voting."""
        return JSONResponse({"csrf": request.state.csrf, "reviewer": self.desk.name(request)})

    def next(self, request: Request) -> Response:
        """The next image as data."""
        filters, name = filters_of(request.query_params), self.desk.known(request)
        item = self.desk.next_item(request, name, filters)
        details = request.query_params.get("details") == "1"
        return JSONResponse(self.desk.turn(name, filters, item, details=details))

    async def vote(self, request: Request) -> Response:
        """A vote as data; answered with the next image."""
        fields = await read_fields(request)
        check_csrf(request, fields.get("csrf"))
        ballot, filters = ballot_from_json(fields), filters_of(request.query_params)
        name = self.desk.known(request)

        def cast() -> dict[str, Any]:
            vote = self.desk.cast(name, ballot)
            item = self.desk.store.next_item(name, filters, ballot.item)
            return {"vote": pages.vote_view(vote), **self.desk.turn(name, filters, item)}

        return JSONResponse(await run_in_threadpool(cast), 201)

    async def undo(self, request: Request) -> Response:
        """Withdraw the last vote; answered with its image."""
        fields = await read_fields(request)
        check_csrf(request, fields.get("csrf"))
        if set(fields) - {"csrf", "token"}:
            raise Refused(422, "The message has a field that nobody knows.")
        token = vote_token(fields["token"]) if "token" in fields else None
        filters, name = filters_of(request.query_params), self.desk.known(request)

        def undo() -> dict[str, Any]:
            return self.desk.turn(name, filters, self.desk.store.undo(name, token=token))

        return JSONResponse(await run_in_threadpool(undo))

    async def heatmap(self, request: Request) -> Response:
        """Where the picture of a heat map is and where its colours end."""
        name = item_name(request.path_params["item_id"])
        item = await run_in_threadpool(self.desk.store.item, name)
        kind = request.query_params.get("kind", "")
        picture = await self.maps.draw(item, kind)
        return JSONResponse(pages.heat_view(item, kind, picture.peak))
