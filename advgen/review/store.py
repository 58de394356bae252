"""The review behind one class: what the page, the command line and the tests talk to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from advgen.decisions import Decision, decide
from advgen.review import ballot, queue
from advgen.review.agreement import Agreement, agreement_of
from advgen.review.database import Database
from advgen.review.intake import bring_in, records_of, share_out, tally
from advgen.review.items import Filters, Item, item_id, read_image, start_of
from advgen.review.lookup import item_named, item_numbered, items_numbered, place_named
from advgen.review.votes import Progress, Vote, checked_reviewer, opinion


class ReviewStore:
    """Items of runs and the votes on them, in one SQLite file.

    Safe to use from several threads, and from several processes on the same file. Votes are only
    ever added: a second vote of a reviewer on an item takes the place of the first, an undo is a
    row that withdraws a vote. Reviewers are asked blindly: nothing here tells one of them what
    another said, except `decisions` and `agreement`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path, runs: Sequence[Path], *, double: float | None = None) -> ReviewStore:
        """Open a review, made where there is none, and bring in what the runs hold now.

        Args:
            path: The SQLite file.
            runs: Run directories; those that the file knows already stay in the review.
            double: Share of items that every reviewer is asked about, in [0, 1]; which ones
                depends on the images alone, and a larger share contains a smaller one. None: as
                it was set before, a tenth in a new review.

        Raises:
            DataError: If the file is damaged, is no review or was made by a newer version, or a
                judgement cannot be read.
            RunError: If a run has no records.
        """
        database = Database.open(path)
        try:
            with database.writing() as connection:
                changed = [bring_in(connection, run) for run in runs]
                if share_out(connection, double) or any(changed):
                    tally(connection)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        """Close the file; the store cannot be used any more."""
        self._database.close()

    def __enter__(self) -> ReviewStore:
        """The store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def item(self, item_id: str) -> Item:
        """An item by its id.

        Raises:
            UnknownItem: If there is none.
            DataError: If its image would lie outside its run.
        """
        with self._database.connection() as connection:
            return item_named(connection, item_id)

    def image_bytes(self, item_id: str) -> bytes:
        """The PNG of an item, checked against its hash: what is shown is what is voted on.

        Raises:
            UnknownItem: If there is no such item.
            DataError: If the file is gone, changed, or outside its run.
        """
        return read_image(self.item(item_id))

    def next_item(
        self, reviewer: str, filters: Filters | None = None, after: str | None = None
    ) -> Item | None:
        """The next item that a reviewer is asked about and has not voted on.

        The order is shuffled; every reviewer begins at another place and goes round. With
        `after` the search begins behind that item, and comes back to it last.

        Returns:
            None when nothing is left.
        """
        reviewer, filters = checked_reviewer(reviewer), filters or Filters()
        with self._database.connection() as connection:
            behind = start_of(reviewer) if after is None else place_named(connection, after)
            number = queue.next_number(connection, reviewer, filters, behind)
            return item_numbered(connection, number)

    def page(
        self,
        reviewer: str,
        filters: Filters | None = None,
        cursor: str | None = None,
        limit: int = 60,
    ) -> list[Item]:
        """Items that match, voted on or not, in a fixed order.

        Args:
            reviewer: Who looks.
            filters: Which.
            cursor: Id of the last item of the page before; None: from the beginning.
            limit: At most so many.
        """
        with self._database.connection() as connection:
            behind = -1 if cursor is None else place_named(connection, cursor)
            numbers = queue.page_numbers(connection, filters or Filters(), behind, limit)
            return items_numbered(connection, numbers)

    def counts(self, reviewer: str, filters: Filters | None = None) -> Progress:
        """How many of the items that are asked of a reviewer have their vote."""
        with self._database.connection() as connection:
            return queue.progress(connection, checked_reviewer(reviewer), filters or Filters())

    def votes_of(self, reviewer: str, item_ids: Sequence[str]) -> dict[str, Vote]:
        """The reviewer's own standing votes on these items, by item id."""
        with self._database.connection() as connection:
            return ballot.own_votes(connection, checked_reviewer(reviewer), item_ids)

    def vote(
        self,
        reviewer: str,
        item_id: str,
        true_visible: bool | None,
        target_visible: bool | None,
        reasons: Sequence[str] = (),
        note: str = "",
        *,
        token: str,
    ) -> Vote:
        """Add a vote; it is on disk when this returns.

        Args:
            reviewer: Who.
            item_id: On which item.
            true_visible: Whether the true class is visible; None: cannot tell.
            target_visible: Whether the target class is visible; None: cannot tell.
            reasons: Why the image is turned down beyond that, out of `votes.REASONS`.
            note: Free text, at most `votes.MAX_NOTE` characters.
            token: Idempotency key that the client chose, up to 64 characters: the same token sent
                again by the same reviewer adds nothing and returns the vote that it made.

        Raises:
            UnknownItem: If there is no such item.
            VoteRefused: If name, reason, note or token cannot be kept, or the token was used for
                another item.
        """
        answer = ballot.Answer(true_visible, target_visible, tuple(reasons), note)
        with self._database.writing() as connection:
            return ballot.cast(connection, checked_reviewer(reviewer), item_id, answer, token)

    def undo(self, reviewer: str, *, token: str | None = None) -> Item | None:
        """Withdraw the reviewer's last vote that stands.

        Args:
            reviewer: Who.
            token: Idempotency key, as for `vote`.

        Returns:
            Its item, to be shown again; None where there was nothing to undo.
        """
        with self._database.writing() as connection:
            number = ballot.withdraw(connection, checked_reviewer(reviewer), token)
            return item_numbered(connection, number)

    def history(self, reviewer: str, limit: int = 20) -> list[Vote]:
        """The reviewer's own votes, newest first, withdrawn ones included."""
        with self._database.connection() as connection:
            return ballot.history(connection, checked_reviewer(reviewer), limit)

    def pairs(self) -> list[str]:
        """`TRUE:TARGET` of all pairs, in alphabetical order."""
        return self._names("pair")

    def methods(self) -> list[str]:
        """All methods, in alphabetical order."""
        return self._names("method")

    def reviewers(self) -> list[str]:
        """Everyone who ever voted, in alphabetical order."""
        with self._database.connection() as connection:
            rows = connection.execute("SELECT DISTINCT reviewer FROM votes ORDER BY reviewer")
            return [row[0] for row in rows]

    def decisions(self, run: Path | None = None) -> list[Decision]:
        """What people decided on every item with a vote, in the order of the runs' records.

        Args:
            run: Only images of this run; None: of all.
        """
        wanted = None if run is None else {item_id(sample) for sample in records_of(run)}
        return [
            decide(sample_id, sha256, [opinion(vote) for vote in votes])
            for name, sample_id, sha256, votes in self._ballots()
            if wanted is None or name in wanted
        ]

    def agreement(self, resamples: int = 1000, seed: int = 0) -> Agreement:
        """How far the reviewers agree on the items that two or more of them voted on.

        Args:
            resamples: Bootstrap draws of the interval of alpha; 0: no interval.
            seed: Of the bootstrap.
        """
        return agreement_of([votes for *_, votes in self._ballots()], resamples, seed)

    def _names(self, column: str) -> list[str]:
        with self._database.connection() as connection:
            found = connection.execute(f"SELECT DISTINCT {column} FROM facets")
            return sorted(row[0] for row in found)

    def _ballots(self) -> list[tuple[str, str, str, list[Vote]]]:
        with self._database.connection() as connection:
            return ballot.ballots(connection)
