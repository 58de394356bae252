"""The review page as HTML: one image and its questions, all images, the reviewer's name, forms.

Everything here works without scripts; a form is answered by a redirect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from advgen.errors import DataError
from advgen.review import pages
from advgen.review.bodies import read_fields
from advgen.review.desk import NAME, Desk
from advgen.review.faults import Refused
from advgen.review.forms import (
    address,
    ballot_from_form,
    filters_of,
    item_name,
    new_token,
    query_of,
    reviewer_name,
    single,
)
from advgen.review.items import Filters, Item
from advgen.review.maps import Maps, NoHeatmap, known_kind
from advgen.review.security import check_csrf, cookie

PAGE = 60
"""Images on a page of all images."""


@dataclass(frozen=True, slots=True)
class Screens:
    """The routes that answer with a page.

    Attributes:
        desk: Store and reviewer.
        maps: Heat maps.
    """

    desk: Desk
    maps: Maps

    async def review(self, request: Request) -> Response:
        """One image and its two questions, with a heat map laid over it where one is asked for."""
        filters = filters_of(request.query_params)
        name = self.desk.name(request)
        if name is None:
            return RedirectResponse(address("/who", filters), 303)
        item = await run_in_threadpool(self._chosen, request, name, filters)
        heat, fault = await self._heat(request, item)
        values = await run_in_threadpool(self._sheet, request, name, filters, item)
        return pages.render(request, "review.html.j2", {**values, "heat": heat, "fault": fault})

    def _chosen(self, request: Request, name: str, filters: Filters) -> Item | None:
        chosen = request.query_params.get("item")
        if chosen:
            return self.desk.store.item(item_name(chosen))
        return self.desk.next_item(request, name, filters)

    async def _heat(self, request: Request, item: Item | None) -> tuple[dict[str, str] | None, str]:
        """The heat map that the address asks for, or why there is none."""
        kind = request.query_params.get("heat")
        if not kind or item is None:
            return None, ""
        kind = known_kind(kind)
        try:
            picture = await self.maps.draw(item, kind)
        except NoHeatmap as fault:
            return None, f"No heat map: {fault}"
        except DataError:
            return None, f"No heat map: {pages.CHANGED}"
        return pages.heat_view(item, kind, picture.peak), ""

    def _sheet(
        self, request: Request, name: str, filters: Filters, item: Item | None
    ) -> dict[str, Any]:
        details = request.query_params.get("details") == "1"
        mine = self.desk.store.votes_of(name, [item.id]).get(item.id) if item else None
        return {
            **self.desk.turn(name, filters, item, details=details),
            **self._choices(name, filters),
            "details": details,
            "mine": pages.vote_view(mine) if mine else None,
            "token": new_token(),
            "mapped": self.maps.heatmap is not None,
        }

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
        name = self.desk.known(request)
        await run_in_threadpool(self.desk.cast, name, ballot)
        return RedirectResponse(address("/", filters, after=ballot.item), 303)

    async def undo_form(self, request: Request) -> Response:
        """Withdraw the last vote; then its image."""
        fields = await read_fields(request)
        check_csrf(request, single(fields, "csrf"))
        filters = _filters_in(fields)
        item = await run_in_threadpool(self.desk.store.undo, self.desk.known(request))
        return RedirectResponse(address("/", filters, **({"item": item.id} if item else {})), 303)

    def images(self, request: Request) -> Response:
        """All images that match, small, with the reviewer's own votes."""
        filters = filters_of(request.query_params)
        name = self.desk.name(request)
        if name is None:
            return RedirectResponse(address("/who", filters), 303)
        cursor = request.query_params.get("cursor")
        cursor = item_name(cursor) if cursor else None
        found = self.desk.store.page(name, filters, cursor, PAGE + 1)
        shown = found[:PAGE]
        votes = self.desk.store.votes_of(name, [item.id for item in shown])
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
            {
                **values,
                **self._choices(name, filters),
                "progress": self.desk.progress(name, filters),
            },
        )

    def _choices(self, name: str, filters: Filters) -> dict[str, Any]:
        return {
            "reviewer": name,
            "filters": filters,
            "query": query_of(filters),
            "pairs": self.desk.store.pairs(),
            "methods": self.desk.store.methods(),
        }

    def _ask(self, request: Request, filters: Filters, fault: Refused | None = None) -> Response:
        values = {
            "query": query_of(filters),
            "name": self.desk.name(request) or "",
            "fault": fault.message if fault else "",
        }
        return pages.render(request, "who.html.j2", values, fault.status if fault else 200)


def _filters_in(fields: dict[str, Any]) -> Filters:
    return filters_of(dict(parse_qsl(single(fields, "query", ""), max_num_fields=16)))
