import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.attack.rounds import Focus
from advgen.attack.sentences import (
    Desk,
    Written,
    plan_units,
    sentences_from_text,
    sentences_to_text,
)
from advgen.chat import ListReply
from advgen.errors import GenerationError
from advgen.generation import DescribeRequest
from advgen.generation.layout import Cell
from advgen.mining import TargetFilter
from advgen.records import ClassPair, Description

PAIRS = (ClassPair("dog", "deer"), ClassPair("ship", "truck"))


CELLS = [
    Cell(pair, method, repeat)
    for pair in PAIRS
    for method in ("second-order", "random")
    for repeat in (0, 1)
]


def written(config, writer, listener, fault=None) -> list[Written]:
    desk = Desk(config, writer, TargetFilter(), fault)
    return desk.write(0, dict.fromkeys(CELLS, Focus(("trees",))), listener)


def test_every_sentence_is_kept_with_its_reason_or_its_rank(make_config, writer, listener) -> None:
    config = make_config(describe={"candidates": 7, "descriptions": 4})
    rows = written(config, writer, listener)
    assert len(rows) == 8 * 7
    assert listener.steps == 8
    for cell in CELLS:
        own = [row for row in rows if row.cell == cell]
        assert [row.description.reason for row in own] == ["names_target_class", *[None] * 6]
        assert sorted(row.rank for row in own if row.rank is not None) == [0, 1, 2, 3]
        assert own[0].rank is None
        assert all(row.description.words == ("trees",) for row in own[1:])
    assert sentences_from_text(sentences_to_text(rows)) == rows


def test_each_cell_asks_with_a_seed_of_its_own(make_config, writer, listener) -> None:
    rows = written(make_config(describe={"candidates": 3, "descriptions": 2}), writer, listener)
    asked = [row.description.text for row in rows if row.description.accepted]
    assert len(set(asked)) == len(asked)


def test_what_cannot_be_drawn_is_turned_down_with_the_painter_s_reason(
    make_config, writer, listener
) -> None:
    config = make_config(describe={"candidates": 7, "descriptions": 2})
    rows = written(
        config,
        writer,
        listener,
        fault=lambda text: "too_many_tokens" if "1 trees" in text else None,
    )
    reasons = {row.description.text: row.description.reason for row in rows}
    assert any("1 trees" in text for text in reasons)
    for text, reason in reasons.items():
        if "deer" not in text and "truck" not in text:
            assert reason == ("too_many_tokens" if "1 trees" in text else None)


def test_the_plan_follows_the_chosen_order_cell_by_cell(make_config, writer, listener) -> None:
    config = make_config(images=4, describe={"candidates": 9, "descriptions": 4})
    rows = written(config, writer, listener)
    units = plan_units(config, rows)
    assert [unit.cell for unit in units] == [cell for cell in CELLS for _ in range(4)]
    assert [unit.number for unit in units] == [0, 1, 2, 3] * 8
    ranked = {(row.cell, row.rank): row.description for row in rows}
    assert [unit.description for unit in units] == [
        ranked[cell, rank] for cell in CELLS for rank in range(4)
    ]


def test_a_later_round_goes_on_after_the_earlier_ones(make_config, writer, listener) -> None:
    config = make_config(describe={"candidates": 7, "descriptions": 5, "rounds": 2})
    first = written(config, writer, listener)
    focus = Focus(("trees",), ("a dog beside 3 trees",))
    second = Desk(config, writer, TargetFilter()).write(
        1, dict.fromkeys(CELLS, focus), listener, first
    )
    assert {row.round for row in first} == {0} and {row.round for row in second} == {1}
    for cell in CELLS:
        own = [row for row in (*first, *second) if row.cell == cell]
        assert len({row.description.id for row in own}) == len(own)
        assert sorted(row.rank for row in own if row.rank is not None) == [0, 1, 2, 3, 4]
    assert writer.requests[0].examples == () and writer.requests[-1].examples == focus.examples
    units = plan_units(config, [*first, *second])
    assert [unit.round for unit in units[:5]] == [0, 0, 0, 1, 1]
    assert [unit.number for unit in units[:5]] == [0, 1, 2, 3, 4]


def test_when_few_words_do_not_make_enough_sentences_the_spare_ones_are_used(
    make_config, listener
) -> None:
    class Terse:
        name, revision = "terse", "1"

        def describe(self, request: DescribeRequest) -> ListReply:
            return ListReply(tuple(f"a dog and a {word}" for word in request.words), ())

        def close(self) -> None:
            pass

    config = make_config(describe={"candidates": 3, "descriptions": 3, "max_attempts": 2})
    desk = Desk(config, Terse(), TargetFilter())
    cell = CELLS[0]
    focus = Focus(("tree",), ("a dog and a tree",), ("tree", "lamp", "rope"))
    texts = {row.description.text for row in desk.write(0, {cell: focus}, listener)}
    assert texts == {"a dog and a tree", "a dog and a lamp", "a dog and a rope"}
    with pytest.raises(GenerationError, match="only 1 of 3"):
        desk.write(0, {cell: Focus(("tree",))}, listener)


@given(images=st.integers(1, 40), sentences=st.integers(1, 12))
def test_images_are_spread_evenly_over_the_sentences(
    make_config, images: int, sentences: int
) -> None:
    config = make_config(images=images, describe={"descriptions": sentences})
    rows = [Written(CELLS[0], 0, Description(f"s{n}", f"dog {n}", ()), n) for n in range(sentences)]
    units = plan_units(config, rows)
    counts = [unit.images for unit in units]
    assert sum(counts) == images
    assert len(counts) == min(images, sentences)
    assert max(counts) - min(counts) <= 1
