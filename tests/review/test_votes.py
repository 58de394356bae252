"""Votes: once each, never lost, undone by another row."""

import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from advgen.decisions import decide
from advgen.review.store import ReviewStore
from advgen.review.votes import UnknownItem, Vote, VoteRefused, opinion

WRITER = """
import sys
from pathlib import Path
from advgen.review.store import ReviewStore

with ReviewStore.open(Path(sys.argv[1]), []) as store:
    names = [item.id for item in store.page("ann")]
    for number in range(100_000):
        token = f"token-{number}"
        store.vote("ann", names[number % len(names)], True, False, token=token)
        print(token, flush=True)
"""


def test_a_vote_is_kept_as_it_was_sent(open_review) -> None:
    store = open_review(2)
    item = store.page("ann")[0]
    reasons = ["other", "broken", "other"]
    vote = store.vote(" Ann   B ", item.id, None, True, reasons, "a note", token="t1")
    assert vote == Vote(
        vote.id, item.id, "Ann B", None, True, ("broken", "other"), "a note", vote.at, False
    )
    assert vote.at.endswith("+00:00")
    assert store.history("Ann B") == [vote]
    assert store.votes_of("Ann B", [item.id, "f" * 20]) == {item.id: vote}
    assert store.reviewers() == ["Ann B"]


def test_a_token_counts_once(open_review) -> None:
    store = open_review(3)
    item, other, _ = store.page("ann")
    vote = store.vote("ann", item.id, True, False, token="t1")
    assert store.vote("ann", item.id, True, False, token="t1") == vote
    assert store.vote("bob", item.id, True, False, token="t1").id != vote.id
    with pytest.raises(VoteRefused, match="another vote"):
        store.vote("ann", other.id, True, False, token="t1")
    with pytest.raises(VoteRefused, match="used for a vote"):
        store.undo("ann", token="t1")
    for _ in range(2):
        undone = store.undo("ann", token="t2")
        assert undone is not None and undone.id == item.id
    with pytest.raises(VoteRefused, match="another vote"):
        store.vote("ann", item.id, True, False, token="t2")
    assert len(store.history("ann")) == 1
    assert len(store.history("bob")) == 1


def test_undo_goes_back_vote_by_vote(open_review) -> None:
    store = open_review(3)
    first, second, _ = store.page("ann")
    store.vote("ann", first.id, True, False, token="t1")
    store.vote("ann", second.id, True, False, token="t2")
    store.vote("ann", first.id, False, True, token="t3")
    assert store.votes_of("ann", [first.id])[first.id].true_visible is False
    undone = [store.undo("ann") for _ in range(4)]
    assert [item and item.id for item in undone] == [first.id, second.id, first.id, None]
    assert store.counts("ann").done == 0
    assert [vote.withdrawn for vote in store.history("ann")] == [True] * 3


def test_undo_brings_back_the_vote_before(open_review) -> None:
    store = open_review(1)
    item = store.page("ann")[0]
    before = store.vote("ann", item.id, True, False, token="t1")
    store.vote("bob", item.id, None, None, token="t1")
    store.vote("ann", item.id, False, False, token="t2")
    store.undo("ann")
    assert store.votes_of("ann", [item.id]) == {item.id: before}
    assert store.decisions()[0].votes == 2
    assert len(store.votes_of("bob", [item.id])) == 1


@pytest.mark.parametrize(
    ("changed", "fault", "message"),
    [
        ({"reviewer": "   "}, VoteRefused, "name"),
        ({"reviewer": "x" * 65}, VoteRefused, "name"),
        ({"reviewer": "a\0b"}, VoteRefused, "name"),
        ({"reviewer": "a\u202eb"}, VoteRefused, "name"),
        ({"item_id": "../../etc/passwd"}, UnknownItem, "no item"),
        ({"item_id": "' OR 1=1 --"}, UnknownItem, "no item"),
        ({"reasons": ["ugly"]}, VoteRefused, "no reason"),
        ({"note": "x" * 1001}, VoteRefused, "1000"),
        ({"token": ""}, VoteRefused, "token"),
        ({"token": "x" * 65}, VoteRefused, "token"),
    ],
)
def test_what_cannot_be_kept_is_refused(open_review, changed, fault, message: str) -> None:
    store = open_review(1)
    sent = {"reviewer": "ann", "item_id": store.page("ann")[0].id, "token": "t1"}
    with pytest.raises(fault, match=message):
        store.vote(**{**sent, "true_visible": True, "target_visible": False, **changed})
    assert store.reviewers() == []


def test_reviewers_in_parallel_lose_nothing(open_review) -> None:
    store = open_review(30)
    names = [item.id for item in store.page("anyone")]

    def work(reviewer: str) -> None:
        for number, name in enumerate(names):
            for _ in range(2):
                store.vote(reviewer, name, True, number % 2 == 0, token=f"t{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, ["ann", "bob", "cid", "ann"]))
    for reviewer in ("ann", "bob", "cid"):
        assert Counter(vote.item_id for vote in store.history(reviewer, 1000)) == Counter(names)
    assert [decision.votes for decision in store.decisions()] == [3] * 30


def test_a_killed_process_loses_no_vote_that_it_acknowledged(tmp_path: Path, draw_run) -> None:
    path = tmp_path / "review.sqlite"
    ReviewStore.open(path, [draw_run(tmp_path / "run", 5)]).close()
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    told += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    with ReviewStore.open(path, []) as store:
        kept = len(store.history("ann", 10**6))
        assert len(told) <= kept <= len(told) + 1
        again = store.history("ann", 10**6)[-1]
        assert store.vote("ann", again.item_id, True, False, token=told[0]) == again
        assert len(store.history("ann", 10**6)) == kept


def votes(*answers: tuple) -> list[Vote]:
    return [Vote(n, "i", f"r{n}", *answer) for n, answer in enumerate(answers)]


YES, NO, UNSURE = (True, False), (True, True), (True, None)
BROKEN = (True, False, ("broken",))


@pytest.mark.parametrize(
    ("given", "status", "true_visible", "target_visible", "reasons", "agreement"),
    [
        ([YES], "accepted", True, False, (), 1.0),
        ([NO], "rejected", True, True, (), 1.0),
        ([(False, False)], "rejected", False, False, (), 1.0),
        ([(False, None)], "rejected", False, None, (), 1.0),
        ([UNSURE], "unsure", True, None, (), 1.0),
        ([BROKEN], "rejected", True, False, ("broken",), 1.0),
        ([YES, NO], "unsure", True, None, (), 0.0),
        ([YES, YES, BROKEN], "accepted", True, False, (), 2 / 3),
        ([YES, NO, UNSURE], "unsure", True, None, (), 1 / 3),
        ([YES, YES, NO, UNSURE], "unsure", True, None, (), 1 / 4),
        ([(False, False), NO], "rejected", None, None, (), 1.0),
        ([BROKEN, (False, True, ("offensive",)), YES], "rejected", True, False,
         ("broken", "offensive"), 2 / 3),
    ],
)  # fmt: skip
def test_more_than_half_decide(
    given, status, true_visible, target_visible, reasons, agreement
) -> None:
    found = decide("s", "h", [opinion(vote) for vote in votes(*given)])
    assert (found.status, found.true_visible, found.target_visible, found.reasons) == (
        status, true_visible, target_visible, reasons,
    )  # fmt: skip
    assert found.agreement == pytest.approx(agreement)
    assert found.votes == len(given) and found.reviewers == tuple(
        f"r{n}" for n in range(len(given))
    )


def test_no_vote_decides_nothing() -> None:
    with pytest.raises(ValueError, match="at least one vote"):
        decide("s", "h", [])
