"""Heat maps as the review page asks for them: a few at a time, or a sentence why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from advgen.errors import AdvgenError
from advgen.review.faults import Refused
from advgen.review.items import Item

KINDS = ("first-order", "second-order")
"""Kinds of heat maps, in the order in which they are offered."""
AT_ONCE = 4
"""Threads that draw maps or wait for one; the others are left to votes."""


@dataclass(frozen=True, slots=True)
class HeatPicture:
    """A heat map laid over its image.

    Attributes:
        data: The encoded picture.
        peak: What its strongest patch adds to `cos(target) - cos(true)`, without its sign: the
            end of the colour scale.
    """

    data: bytes
    peak: float


class NoHeatmap(AdvgenError):
    """An image has no heat map; the message is shown to reviewers and names no path."""


Heatmap = Callable[[Item, str], HeatPicture]
"""The map of an item of one of `KINDS`; raises `NoHeatmap`, or DataError for a changed image."""


@dataclass(frozen=True, slots=True)
class Maps:
    """The heat maps of a review, so drawn that they never keep a vote waiting.

    Attributes:
        heatmap: Draws one, called in threads; None: there are none.
        turns: Of the threads.
    """

    heatmap: Heatmap | None
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def draw(self, item: Item, kind: str) -> HeatPicture:
        """A map of an item.

        Raises:
            Refused: With status 404 for a kind that is none of `KINDS`.
            NoHeatmap: If there is none.
            DataError: If the image is gone or changed.
        """
        kind = known_kind(kind)
        if self.heatmap is None:
            raise NoHeatmap("This review has no heat maps.")
        async with self.turns:
            return await run_in_threadpool(self.heatmap, item, kind)


def known_kind(kind: str) -> str:
    """A kind out of `KINDS`.

    Raises:
        Refused: With status 404, if it is none.
    """
    if kind not in KINDS:
        raise Refused(404, "There is no heat map of this kind.")
    return kind
