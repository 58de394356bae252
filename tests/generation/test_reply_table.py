"""Whole replies of language models, from the text to the sentences that may be drawn."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from advgen.chat import ListReply, Reply
from advgen.config import DescribeConfig
from advgen.generation.describe import choose_descriptions
from advgen.generation.describers.chat import read_reply
from advgen.generation.protocols import DescribeRequest
from advgen.records import ClassPair, Description
from advgen.toml import read_toml

TABLE = read_toml(Path(__file__).with_name("replies.toml").read_text(encoding="utf-8"))["reply"]
WORDS = ("hay", "antlers", "barn", "fence", "pumpkins")


class Once:
    name, revision = "once", "1"

    def __init__(self, reply: ListReply) -> None:
        self.reply = reply

    def describe(self, request: DescribeRequest) -> ListReply:
        return self.reply

    def close(self) -> None:
        pass


def written(text: str, finish: Any) -> list[Description]:
    reply = read_reply(Reply(text, finish, None, None, "m"))
    pair, synonyms = ClassPair("dog", "deer"), ("stag", "buck")
    config = DescribeConfig(candidates=1, descriptions=1)
    return choose_descriptions(
        Once(reply), pair, WORDS, config, target_synonyms=synonyms, seed=1, count=0
    )[1]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["name"])
def test_of_a_reply_the_right_sentences_are_drawn_and_the_rest_has_its_reason(
    case: dict[str, Any],
) -> None:
    found = written(case["text"] * case.get("repeat", 1), case.get("finish", "stop"))
    assert [one.text for one in found if one.accepted] == case["sentences"]
    dropped = [(one.reason, one.text) for one in found if not one.accepted]
    assert all(len(text) <= 400 for _, text in dropped)
    if "dropped_count" in case:
        assert Counter(reason for reason, _ in dropped) == case["dropped_count"]
        return
    for reason, start in case["dropped"]:
        match = next(
            (one for one in dropped if one[0] == reason and one[1].startswith(start)), None
        )
        assert match, f"no {reason} beginning with {start!r} among {dropped}"
        dropped.remove(match)
    assert dropped == []


def test_the_table_is_long_and_its_cases_differ() -> None:
    assert len(TABLE) >= 60
    assert len({case["name"] for case in TABLE}) == len(TABLE)
