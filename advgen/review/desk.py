"""Who sits at the review page, what they are shown next, and how their votes reach the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request

from advgen.review import pages
from advgen.review.faults import Refused
from advgen.review.forms import Ballot, item_name, reviewer_name
from advgen.review.items import Filters, Item
from advgen.review.store import ReviewStore
from advgen.review.votes import Vote

NAME = "advgen_reviewer"
"""The cookie that holds the reviewer's name."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A store and who looks at it; what the page and its data have in common.

    Attributes:
        store: Items and votes.
        reviewer: Name of who has not given one.
    """

    store: ReviewStore
    reviewer: str | None

    def name(self, request: Request) -> str | None:
        """The reviewer's name: out of the cookie, else the one for who has not given any."""
        try:
            return reviewer_name(unquote(request.cookies.get(NAME, ""), errors="strict"))
        except (Refused, UnicodeDecodeError):
            return self.reviewer

    def known(self, request: Request) -> str:
        """The reviewer's name.

        Raises:
            Refused: With status 409, if nobody knows it.
        """
        name = self.name(request)
        if name is None:
            raise Refused(409, "Say who you are first.")
        return name

    def next_item(self, request: Request, name: str, filters: Filters) -> Item | None:
        """The next item for a reviewer, behind the one that the address names."""
        after = request.query_params.get("after")
        return self.store.next_item(name, filters, item_name(after) if after else None)

    def turn(
        self, name: str, filters: Filters, item: Item | None, *, details: bool = False
    ) -> dict[str, Any]:
        """An image, the address of the one after it, and how far the reviewer is."""
        coming = self.store.next_item(name, filters, item.id) if item else None
        return {
            "item": pages.item_view(item, details=details) if item else None,
            "preload": pages.image_url(coming) if coming else None,
            "progress": self.progress(name, filters),
        }

    def progress(self, name: str, filters: Filters) -> dict[str, int]:
        """How many of the images asked of a reviewer have their vote, and how many there are."""
        counts = self.store.counts(name, filters)
        return {"done": counts.done, "total": counts.total}

    def cast(self, name: str, ballot: Ballot) -> Vote:
        """Add a vote; see `ReviewStore.vote`."""
        return self.store.vote(
            name,
            ballot.item,
            ballot.true_visible,
            ballot.target_visible,
            ballot.reasons,
            ballot.note,
            token=ballot.token,
        )
