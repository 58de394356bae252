"""Review by people: items of runs, votes that are only added, decisions and agreement."""

from advgen.review.items import Filters, Item
from advgen.review.store import ReviewStore
from advgen.review.votes import REASONS, Progress, UnknownItem, Vote, VoteRefused

__all__ = [
    "REASONS",
    "Filters",
    "Item",
    "Progress",
    "ReviewStore",
    "UnknownItem",
    "Vote",
    "VoteRefused",
]
