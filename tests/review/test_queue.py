"""Who is asked about which image, and what filters leave."""

import random
from pathlib import Path

import pytest

from advgen.decisions import Judgement, write_rows
from advgen.generation.layout import RunLayout
from advgen.review.items import Filters
from advgen.review.store import ReviewStore
from advgen.review.votes import Progress, UnknownItem


def go_through(store: ReviewStore, reviewer: str, filters: Filters | None = None) -> list[str]:
    """Vote until nothing is left; the ids in the order in which they came."""
    seen: list[str] = []
    after = None
    while (item := store.next_item(reviewer, filters, after)) is not None:
        assert item.id not in seen
        store.vote(reviewer, item.id, True, False, token=f"{reviewer}-{len(seen)}")
        seen.append(item.id)
        after = item.id
    return seen


def test_single_images_are_asked_of_one_and_shared_ones_of_everyone(open_review) -> None:
    store = open_review(60, double=0.3)
    items = store.page("anyone", limit=100)
    shared = {item.id for item in items if item.shared}
    assert len(items) == 60 and 5 < len(shared) < 35
    assert store.counts("ann") == Progress(0, 60)
    assert set(go_through(store, "ann")) == {item.id for item in items}
    assert store.counts("ann") == Progress(60, 60)
    assert store.counts("bob") == Progress(0, len(shared))
    assert set(go_through(store, "bob")) == shared
    assert store.counts("bob") == Progress(len(shared), len(shared))
    assert {d.votes for d in store.decisions()} == {1, 2}
    undone = store.undo("bob")
    again = store.next_item("bob")
    assert undone is not None and again is not None and again.id == undone.id


def test_two_reviewers_share_the_single_images_between_them(open_review) -> None:
    store = open_review(40)
    seen: dict[str, list[str]] = {"ann": [], "bob": []}
    for turn in range(40):
        reviewer = ("ann", "bob")[turn % 2]
        item = store.next_item(reviewer)
        assert item is not None
        store.vote(reviewer, item.id, True, False, token=f"t{turn}")
        seen[reviewer].append(item.id)
    assert len(seen["ann"]) == len(seen["bob"]) == 20
    assert not set(seen["ann"]) & set(seen["bob"])
    assert store.next_item("ann") is None and store.next_item("bob") is None


def test_the_share_of_double_images_grows_without_changing_its_mind(
    tmp_path: Path, draw_run
) -> None:
    run, path = draw_run(tmp_path / "run", 80), tmp_path / "review.sqlite"
    found = []
    for double in (0.0, 0.2, 0.5, 1.0):
        with ReviewStore.open(path, [run], double=double) as store:
            found.append({item.id for item in store.page("a", limit=100) if item.shared})
    assert [len(shared) for shared in found][::3] == [0, 80]
    assert found[0] < found[1] < found[2] < found[3]
    assert 5 <= len(found[1]) <= 30 and 25 <= len(found[2]) <= 55
    with pytest.raises(ValueError, match="share"):
        ReviewStore.open(path, [run], double=1.5)


def test_skipping_goes_round_and_comes_back_last(open_review) -> None:
    store = open_review(5)
    order, after = [], None
    for _ in range(6):
        item = store.next_item("ann", after=after)
        assert item is not None
        after = item.id
        order.append(after)
    assert len(set(order[:5])) == 5 and order[5] == order[0]
    for name in order[1:5]:
        store.vote("ann", name, True, False, token=name)
    last = store.next_item("ann", after=order[0])
    assert last is not None and last.id == order[0]
    with pytest.raises(UnknownItem):
        store.next_item("ann", after="nothing")


def test_the_order_depends_on_the_images_alone(tmp_path: Path, draw_run) -> None:
    run = draw_run(tmp_path / "run", 12)
    (tmp_path / "moved").symlink_to(run)
    orders = []
    for number in range(2):
        with ReviewStore.open(tmp_path / f"{number}.sqlite", [run]) as store:
            orders.append([item.id for item in store.page("ann")])
    assert orders[0] == orders[1]
    with ReviewStore.open(tmp_path / "0.sqlite", []) as store:
        names = [item.sample_id for item in store.page("ann")]
    assert names != sorted(names)


def test_pages_follow_each_other_without_gaps(open_review) -> None:
    store = open_review(11)
    found, cursor = [], None
    while page := store.page("ann", None, cursor, 4):
        assert len(page) <= 4
        found += [item.id for item in page]
        cursor = page[-1].id
    assert len(found) == len(set(found)) == 11
    assert store.page("ann", limit=0) == []


def judge(run: Path, name: str, answers: dict[int, tuple[float, float]], samples) -> None:
    rows = [
        Judgement(samples[number].id, samples[number].sha256, name, "1", *answer)
        for number, answer in answers.items()
    ]
    write_rows(rows, RunLayout(run).judgements / f"{name}.jsonl")


def test_filters_leave_what_a_plain_loop_leaves(tmp_path: Path, draw_run) -> None:
    run, path = tmp_path / "run", tmp_path / "review.sqlite"
    draw_run(run, 24, judge="none", p_true_present=None, p_target_absent=None)
    with ReviewStore.open(path, [run], double=0.5) as store:
        items = sorted(store.page("ann"), key=lambda item: item.sample_id)
    samples = [item.sample for item in items]
    judge(run, "one", {0: (0.9, 0.9), 1: (0.9, 0.2), 2: (0.1, 0.9), 5: (0.9, 0.9)}, samples)
    judge(run, "two", {0: (0.8, 0.7), 1: (0.9, 0.9), 2: (0.2, 0.8), 7: (0.9, 0.9)}, samples)
    with ReviewStore.open(path, [run]) as store:
        items = store.page("ann")
        said = {item.sample_id: {found.judge for found in item.judgements} for item in items}
        assert said[samples[0].id] == {"one", "two"} and said[samples[7].id] == {"two"}
        for filters in (
            Filters(),
            Filters(pair="owl:stop sign"),
            Filters(method="random"),
            Filters(fooled=True),
            Filters(unjudged=True),
            Filters(pair="bird:frog", method="second-order", unjudged=True, fooled=True),
            Filters(disagreement=True),
            Filters(pair="nobody:' OR 1=1"),
        ):
            kept = [
                item.id
                for item in items
                if filters.pair in (None, item.pair)
                and filters.method in (None, item.method)
                and (not filters.fooled or item.fooled)
                and (not filters.unjudged or not item.judgements)
                and (not filters.disagreement or item.sample_id == samples[1].id)
            ]
            assert [item.id for item in store.page("ann", filters)] == kept
            assert store.counts(f"new {filters}"[:60], filters) == Progress(0, len(kept))
            following = store.next_item("zoe", filters)
            assert (following is None) == (not kept)
            assert following is None or following.id in kept
        disputed = Filters(disagreement=True)
        assert len(go_through(store, "ann", disputed)) == 1
        assert store.counts("ann", disputed) == Progress(1, 1)
        assert store.counts("ann") == Progress(1, 24)


def test_old_judgements_of_a_redrawn_image_do_not_count(tmp_path: Path, draw_run) -> None:
    run = draw_run(tmp_path / "run", 2)
    with ReviewStore.open(tmp_path / "review.sqlite", [run]) as store:
        sample = store.page("ann")[0].sample
        assert store.pairs() == ["bird:frog", "owl:stop sign"]
    rows = [
        Judgement(sample.id, "0" * 64, "vlm", "1", 0.1, 0.1),
        Judgement(sample.id, sample.sha256, "vlm", "1", 0.1, 0.1),
        Judgement(sample.id, sample.sha256, "vlm", "2", 0.9, 0.9),
    ]
    write_rows(rows, RunLayout(run).judgements / "vlm.jsonl")
    with ReviewStore.open(tmp_path / "review.sqlite", [run]) as store:
        item = next(item for item in store.page("ann") if item.sample_id == sample.id)
    assert [(found.judge, found.revision) for found in item.judgements] == [
        ("sandbox", "run"),
        ("vlm", "2"),
    ]
    assert item.sample.truth == ""


def counted_one_by_one(store: ReviewStore, reviewer: str, filters: Filters) -> Progress:
    voted = {d.id: d.reviewers for d in store.decisions()}
    done = left = 0
    for item in store.page(reviewer, filters, limit=1000):
        who = voted.get(item.sample_id, ())
        done += reviewer in who
        left += reviewer not in who and (item.shared or not who)
    return Progress(done, done + left)


def test_tallies_follow_every_vote_and_undo(tmp_path: Path, draw_run) -> None:
    run, path = draw_run(tmp_path / "run", 16), tmp_path / "review.sqlite"
    draw = random.Random(0)
    for double in (0.4, 0.7, 0.1):
        with ReviewStore.open(path, [run], double=double) as store:
            items = store.page("anyone")
            for step in range(40):
                reviewer = draw.choice(["ann", "bob", "cid"])
                if draw.random() < 0.35:
                    store.undo(reviewer)
                else:
                    item = draw.choice(items)
                    store.vote(reviewer, item.id, True, False, token=f"{double}-{step}")
                for filters in (Filters(), Filters(pair="bird:frog", fooled=True)):
                    for name in ("ann", "bob", "cid", "new"):
                        expected = counted_one_by_one(store, name, filters)
                        assert store.counts(name, filters) == expected
                        coming = store.next_item(name, filters)
                        assert (coming is None) == (expected.done == expected.total)
