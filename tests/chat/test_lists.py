import json
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.chat import DroppedLine, parse_list

ABC = ("Image with fur", "Photo taken at night", "3 cats on a mat")
FORMS = {
    "plain": "Image with fur\nPhoto taken at night\n3 cats on a mat",
    "numbered": "1. Image with fur\n2. Photo taken at night\n3. 3 cats on a mat",
    "brackets": "1) Image with fur\n(2) Photo taken at night\n[3] 3 cats on a mat",
    "no space": "1.Image with fur\n2.Photo taken at night\n3. 3 cats on a mat",
    "dashes": "1 - Image with fur\n2 - Photo taken at night\n3 - 3 cats on a mat",
    "bullets": "* Image with fur\n- Photo taken at night\n\u2022 3 cats on a mat",
    "both": "- 1. Image with fur\n- 2. Photo taken at night\n- 3. 3 cats on a mat",
    "bold": "1. **Image with fur**\n**2.** Photo taken at night\n3. 3 **cats** on a mat",
    "quoted": '"Image with fur"\n\u201cPhoto taken at night\u201d\n"3 cats on a mat"',
    "quoted commas": '"Image with fur",\n"Photo taken at night",\n"3 cats on a mat"',
    "numbered quotes": '1. "Image with fur"\n2. "Photo taken at night"\n3. "3 cats on a mat"',
    "CRLF": "1. Image with fur\r\n\r\n2. Photo taken at night\r\n3. 3  cats on a mat\r\n",
    "json": json.dumps(ABC),
    "json over lines": json.dumps(ABC, indent=2),
    "json objects": json.dumps([{"description": text} for text in ABC]),
    "json in an object": json.dumps({"descriptions": ABC}),
    "json, comma at the end": '["Image with fur", "Photo taken at night", "3 cats on a mat",]',
    "fenced json": f"```json\n{json.dumps(ABC)}\n```",
    "fenced lines": "```\n1. Image with fur\n2. Photo taken at night\n3. 3 cats on a mat\n```",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_list_gives_the_same_items(form: str) -> None:
    reply = parse_list(FORMS[form])
    assert reply.items == ABC
    assert reply.dropped == ()


@pytest.mark.parametrize("form", ["plain", "numbered", "bullets", "quoted", "json", "fenced lines"])
@pytest.mark.parametrize("before", ["Here are 30 descriptions of cats:", "Sure! Here you go:"])
def test_talk_around_the_list_is_dropped(form: str, before: str) -> None:
    after = "Let me know if you need more."
    reply = parse_list(f"{before}\n\n{FORMS[form]}\n\n{after}")
    assert reply.items == ABC
    assert reply.dropped == (DroppedLine(before, "remark"), DroppedLine(after, "remark"))


@pytest.mark.parametrize(
    ("text", "items", "reasons"),
    [
        ("", (), []),
        (" \n\n", (), []),
        ("<think>cats\n1. no</think>\n1. Image one\n2. Image two", ("Image one", "Image two"), 1),
        ("cats, hmm\n</think>\nImage one", ("Image one",), ["thinking"]),
        ("<think>and on and on", (), ["thinking"]),
        ("I'm sorry, but I can't help with that.\nAsk me another.", (), ["refusal"] * 2),
        ("As an AI, I cannot see pictures.", (), ["refusal"]),
        ("I\u2019m sorry.", (), ["refusal"]),
        ("# Cats\n1. Image one\n## More\n2. Image two", ("Image one", "Image two"), ["remark"] * 2),
        ("Cats are common\n1. Image one\n2. Image two", ("Image one", "Image two"), ["remark"]),
        ("**Colours:**\n- Image one\n- Image two", ("Image one", "Image two"), ["remark"]),
        ("1. Image one\n2.\n3. Image two", ("Image one", "Image two"), ["empty"]),
        ('["Image one", 4, "", null]', ("Image one",), ["not_text", "empty", "not_text"]),
        ("Image of 1.5 litre bottles", ("Image of 1.5 litre bottles",), []),
        ("2.4 GHz antenna in view", ("2.4 GHz antenna in view",), []),
        ("80s style photograph", ("80s style photograph",), []),
        ("Image of the 'cat'", ("Image of the 'cat'",), []),
        ("Image [blurred] of a cat", ("Image [blurred] of a cat",), []),
    ],
)
def test_odd_replies(text: str, items: tuple[str, ...], reasons: list[str] | int) -> None:
    reply = parse_list(text)
    found = [line.reason for line in reply.dropped]
    assert reply.items == items
    assert found == reasons or len(found) == reasons


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("1. Image one\n2. Image tw", ("Image one",)),
        ('["Image one", "Image tw', ("Image one",)),
        ('```json\n[\n "Image one",\n "Image tw', ("Image one",)),
        ("1. Image one\n2. Image two\n", ("Image one", "Image two")),
    ],
)
def test_the_last_item_of_a_cut_reply_is_not_trusted(text: str, items: tuple[str, ...]) -> None:
    reply = parse_list(text, cut=True)
    assert reply.items == items
    assert [line.reason for line in reply.dropped] == ["cut_off"] * (2 - len(items))


WORDS = st.lists(st.from_regex(r"[a-z]{2,8}", fullmatch=True), min_size=1, max_size=5)
ITEMS = st.lists(WORDS.map(lambda words: "Image of " + " ".join(words)), min_size=2, max_size=9)


@given(ITEMS, st.sampled_from(["{n}. {t}", "{n}) {t}", "- {t}", '"{t}",', "{n}. **{t}**", "{t}"]))
def test_what_is_listed_is_found(items: list[str], form: str) -> None:
    lines = [form.format(n=number, t=text) for number, text in enumerate(items, start=1)]
    assert parse_list("\n".join(lines)).items == tuple(items)
    assert parse_list(json.dumps(items)).items == tuple(items)


@given(st.text(max_size=200), st.booleans())
def test_no_reply_breaks_the_parser(text: str, cut: bool) -> None:
    for item in parse_list(text, cut=cut).items:
        assert item and item == " ".join(item.split())


@given(st.text(alphabet='[]{}",:\\ab1.-\n ', max_size=60))
def test_no_broken_json_breaks_the_parser(text: str) -> None:
    assert all(isinstance(item, str) and item for item in parse_list("[" + text).items)


PIECES = st.sampled_from(
    ["<think>", "</think>", "[", "{", '["', '{"a": "', '"', '", "', "]", "}", "\n", "1. ", "- "]
    + ["**", "| ", "|---|\n", "<li>", "</li>", "```\n", "I. ", "  ", "a) ", "A dog on hay", ":"]
    + ["\\", "\u00e9", "\U0001f436", "\u200b", "1\ufe0f\u20e3", "<|eot_id|>", "I'm sorry ", "'"]
)


@given(st.lists(PIECES, max_size=60).map("".join), st.booleans())
def test_items_are_single_lines_made_of_what_the_reply_says(text: str, cut: bool) -> None:
    reply = parse_list(text, cut=cut)
    said = re.sub(r"\u200b|\\|\*\*", "", text)
    for item in reply.items:
        assert item == " ".join(item.split()) != ""
        assert all(word in said for word in re.findall(r"\w+", item)), item
    assert all(len(line.text) <= 203 and "\n" not in line.text for line in reply.dropped)


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=6), st.sampled_from(["\n", "; ", '", "']))
def test_nothing_that_is_said_gets_lost(texts: list[str], between: str) -> None:
    reply = parse_list(between.join(texts))
    found = " ".join([*reply.items, *(line.text for line in reply.dropped)])
    assert sorted(re.findall("[a-z]+", found)) == sorted(re.findall("[a-z]+", " ".join(texts)))


NASTY = {
    "thoughts opened": "<think>",
    "thoughts closed": "</think>",
    "brackets": "[",
    "brackets and quotes": '["',
    "arrays in arrays": '[["a",',
    "objects in objects": '{"a": {',
    "objects never closed": '{"a": "b"',
    "strings never closed": '["a", "',
    "blank space": " ",
    "blank space in brackets": "[ ",
    "stars": "*",
    "bold": "**a**",
    "underscores": "__",
    "digits": "1",
    "numbers": "1. ",
    "numbers in a row": "12) ",
    "quotes": '"',
    "single quotes": "','",
    "tags": "<li",
    "tags closed": "<li>",
    "bars": "|",
    "rows": "|a|\n",
    "round brackets": " (words",
    "line ends": "\n",
    "dashes": "- ",
    "pictures": "\U0001f436",
    "marks of turns": "<|a",
    "Roman": "i. \n",
    "backslashes": "\\",
    "lines going on": "- a\n  b\n",
    "deep lines": "- a\n    - b c d\n",
}


@pytest.mark.parametrize("piece", NASTY.values(), ids=NASTY)
def test_work_grows_with_the_length_of_a_reply_and_no_faster(piece: str) -> None:
    assert work(piece, 8) <= 2.5 * work(piece, 4) + 2000


def work(piece: str, kilobytes: int) -> int:
    """Lines of the package's code that run; what the regular expressions do is not in it."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace if "advgen" in frame.f_code.co_filename else None

    text = piece * (1000 * kilobytes // len(piece))
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse_list(text)
    finally:
        sys.settrace(before)
    return count
