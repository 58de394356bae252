import json

from hypothesis import given
from hypothesis import strategies as st

from advgen.attack.sentences import plan_units, write_sentences
from advgen.generation.layout import Cell
from advgen.mining import TargetFilter
from advgen.records import ClassPair, MinedWord, WordList

PAIRS = (ClassPair("dog", "deer"), ClassPair("ship", "truck"))


def word_lists() -> list[WordList]:
    words = (MinedWord("trees", 1.0),)
    return [
        WordList(pair, method, repeat, words, ())
        for pair in PAIRS
        for method in ("second-order", "random")
        for repeat in (0, 1)
    ]


def written(config, writer, listener, lists: list[WordList] | None = None) -> str:
    return write_sentences(config, lists or word_lists(), writer, TargetFilter(), listener)


def test_every_sentence_is_kept_with_its_reason_or_its_rank(make_config, writer, listener) -> None:
    config = make_config(describe={"candidates": 7, "descriptions": 4})
    rows = [json.loads(line) for line in written(config, writer, listener).splitlines()]
    assert len(rows) == 8 * 7
    assert listener.steps == 8
    for word_list in word_lists():
        pair = {
            "true_class": word_list.pair.true_class,
            "target_class": word_list.pair.target_class,
        }
        cell = {"pair": pair, "method": word_list.method, "repeat": word_list.repeat}
        mine = [row for row in rows if row["cell"] == cell]
        assert [row["reason"] for row in mine] == ["names_target_class", *[None] * 6]
        ranks = [row["rank"] for row in mine if row["rank"] is not None]
        assert sorted(ranks) == [0, 1, 2, 3]
        assert mine[0]["rank"] is None
        assert all(row["words"] == ["trees"] for row in mine[1:])


def test_each_cell_asks_with_a_seed_of_its_own(make_config, writer, listener) -> None:
    text = written(make_config(describe={"candidates": 3, "descriptions": 2}), writer, listener)
    asked = [line["text"] for line in map(json.loads, text.splitlines()) if not line["reason"]]
    assert len(set(asked)) == len(asked)


def test_the_plan_follows_the_chosen_order_cell_by_cell(make_config, writer, listener) -> None:
    config = make_config(images=4, describe={"candidates": 9, "descriptions": 4})
    text = written(config, writer, listener)
    units = plan_units(config, text)
    cells = [Cell(one.pair, one.method, one.repeat) for one in word_lists()]
    assert [unit.cell for unit in units] == [cell for cell in cells for _ in range(4)]
    assert [unit.number for unit in units] == [0, 1, 2, 3] * 8
    ranked = {
        (json.dumps(row["cell"]), row["rank"]): row["text"]
        for row in map(json.loads, text.splitlines())
    }
    cell_keys = list(dict.fromkeys(key for key, _ in ranked))
    assert [unit.description.text for unit in units] == [
        ranked[key, rank] for key in cell_keys for rank in range(4)
    ]


@given(images=st.integers(1, 40), sentences=st.integers(1, 12))
def test_images_are_spread_evenly_over_the_sentences(
    make_config, images: int, sentences: int
) -> None:
    config = make_config(images=images, describe={"descriptions": sentences})
    cell = {"pair": {"true_class": "dog", "target_class": "deer"}, "method": "random", "repeat": 0}
    rows = [
        {"cell": cell, "id": f"s{n}", "text": f"dog {n}", "words": [], "reason": None, "rank": n}
        for n in range(sentences)
    ]
    units = plan_units(config, "\n".join(map(json.dumps, rows)))
    counts = [unit.images for unit in units]
    assert sum(counts) == images
    assert len(counts) == min(images, sentences)
    assert max(counts) - min(counts) <= 1
