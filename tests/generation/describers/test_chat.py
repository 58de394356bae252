import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from advgen import registry
from advgen.chat import ChatOptions, load_prompt
from advgen.config import DescribeConfig
from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.generation import DescribeRequest
from advgen.generation.describe import choose_descriptions
from advgen.generation.describers.chat import (
    PROMPT,
    ChatDescriber,
    llama_describer,
    openai_describer,
)
from advgen.generation.protocols import Describer
from advgen.hub import folder_digest
from advgen.records import ClassPair, Description, to_json

PAIR = ClassPair("elephant", "stop sign")
WORDS = ("hay", "antlers", "barn")
GOOD = ["An elephant on hay", "An elephant by a barn", "An elephant with antlers"]
KEY = "sk-secret-0123456789"


def request(**changes: Any) -> DescribeRequest:
    values = {"pair": PAIR, "words": WORDS, "count": 3, "seed": 1}
    return DescribeRequest(**{**values, **changes})


def choose(
    describer: Describer, descriptions: int = 2, attempts: int = 3, **more: Any
) -> tuple[list[Description], list[Description]]:
    config = DescribeConfig(candidates=6, descriptions=descriptions, max_attempts=attempts)
    return choose_descriptions(
        describer, PAIR, WORDS, config, target_synonyms=("halt sign",), seed=1, **more
    )


def reasons(written: list[Description]) -> list[str]:
    return [one.reason for one in written if one.reason is not None]


@pytest.fixture
def say(server: Any) -> Any:
    return server.answers


@pytest.fixture
def writer(server: Any) -> Iterator[ChatDescriber]:
    """A describer on the scripted server."""
    made = openai_describer(model="m", url=server.url, retries=2, timeout=10.0)
    yield made
    made.close()


def as_json(*sentences: str) -> str:
    return json.dumps({"sentences": sentences})


def test_the_prompt_names_classes_words_synonyms_and_what_is_there() -> None:
    user = load_prompt(PROMPT).messages(
        true_class="elephant",
        target_class="stop sign",
        target_synonyms=("halt sign",),
        words=WORDS,
        count=50,
        known=("An elephant asleep",),
        examples=("An elephant in a barn",),
    )[-1]
    text = " ".join(user.content.split())
    for part in (
        "Write 50 one-sentence",
        "shows an elephant.",
        "hay, antlers, barn",
        'contains the word "elephant"',
        'No sentence contains "stop sign", in the singular, in the plural',
        "(halt sign are such names)",
        "served well; write others that share their things and places: - An elephant in a barn",
        "there already; write other ones: - An elephant asleep",
        "objects and animals",
        "No names of people or places, unless",
    ):
        assert part in text
    assert "a elephant" not in text and "{" not in text


def test_without_synonyms_examples_and_known_their_rules_are_left_out() -> None:
    user = (
        load_prompt(PROMPT)
        .messages(
            true_class="scissors",
            target_class="ox",
            target_synonyms=(),
            words=WORDS,
            count=5,
            known=(),
            examples=(),
        )[-1]
        .content
    )
    assert "shows scissors." in user
    assert "any other name of such a thing.\n" in user
    assert "served well" not in user and "already" not in user


def test_a_server_that_takes_schemas_is_asked_for_json(
    server: Any, say: Any, writer: ChatDescriber
) -> None:
    server.script = [say.completion(as_json(*GOOD))]
    chosen, written = choose(writer, known=(Description("s007", "An elephant at sea", ()),))
    assert [one.text for one in written] == GOOD
    assert [one.id for one in written] == ["s008", "s009", "s010"]
    assert {one.id for one in chosen} < {one.id for one in written}
    (asked,) = server.requests
    assert asked["response_format"]["type"] == "json_schema"
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["sentences"]
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (0.6, 0.9, 4096)
    said = asked["messages"][-1]["content"]
    assert "halt sign" in said and "- An elephant at sea" in said and "Write 6 " in said


def test_a_server_that_refuses_the_schema_is_asked_without_from_then_on(
    server: Any, say: Any, writer: ChatDescriber
) -> None:
    server.script = [
        say.failure(400, "response_format is not supported"),
        say.completion("1. An elephant on hay\n2. A barn"),
        say.completion("1. An elephant on hay\n2. An elephant by a barn"),
    ]
    _, written = choose(writer)
    assert reasons(written) == ["missing_true_class", "duplicate"]
    assert ["response_format" in asked for asked in server.requests] == [True, False, False]
    seeds = [asked["seed"] for asked in server.requests]
    assert seeds[0] == seeds[1] != seeds[2]
    assert "- An elephant on hay" in server.requests[2]["messages"][-1]["content"]


def test_a_request_that_is_refused_either_way_is_no_matter_of_the_schema(
    server: Any, say: Any, writer: ChatDescriber
) -> None:
    server.script = [say.failure(400, "no"), say.failure(400, "too long"), say.completion("x")]
    with pytest.raises(ModelError, match="HTTP 400: too long"):
        choose(writer)
    writer.describe(request())
    assert ["response_format" in asked for asked in server.requests] == [True, False, True]


def test_a_busy_server_is_asked_again(server: Any, say: Any, writer: ChatDescriber) -> None:
    server.script = [say.failure(429, "busy"), say.completion(as_json(*GOOD))]
    assert len(choose(writer)[0]) == 2
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "says"), [((500, "oops"), "HTTP 500: oops"), ((401, "no"), "wants a key")]
)
def test_a_server_that_cannot_be_used_ends_the_run(
    server: Any, say: Any, writer: ChatDescriber, answer: tuple[int, str], says: str
) -> None:
    server.script = [say.failure(*answer)]
    with pytest.raises(ModelError, match=says):
        choose(writer)


def test_a_slow_server_ends_the_run(server: Any, say: Any) -> None:
    server.script = [say.Answer(wait=0.3, body={})]
    slow = openai_describer(model="m", url=server.url, timeout=0.1, retries=0)
    with pytest.raises(ModelError, match="did not answer within 0.1 s"):
        choose(slow)
    slow.close()


def test_bad_answers_cost_an_attempt_each_and_leave_their_reasons(
    server: Any, say: Any, writer: ChatDescriber
) -> None:
    server.script = [
        say.Answer(body=b"{not json"),
        say.completion('{"sentences": ["An elephant on hay", "An ele', "length"),
        say.completion(None, refusal="I won't"),
        say.completion("I'm sorry, I can't do that."),
        say.completion(""),
        say.completion(as_json("An elephant and a stop-sign", "An elephant, a halt sign", "Hay")),
        say.completion(as_json(*GOOD)),
    ]
    chosen, written = choose(writer, descriptions=3, attempts=7)
    assert reasons(written) == [
        "no_reply", "cut_off", "refusal", "refusal", "empty",
        "names_target_class", "synonym_of_target", "missing_true_class", "duplicate",
    ]  # fmt: skip
    assert sorted(one.text for one in chosen) == sorted(GOOD)
    assert "unreadable" in written[0].text


def test_it_gives_up_within_the_bound_and_lists_the_reasons(
    server: Any, say: Any, writer: ChatDescriber
) -> None:
    server.script = [say.Answer(body=b"<html>"), say.completion("I can't help with that.")]
    with pytest.raises(GenerationError) as caught:
        choose(writer, attempts=3)
    assert "only 0 of 2 descriptions passed after 3 rounds (1 no_reply, 2 refusal)" in str(
        caught.value
    )
    assert len(server.requests) == 3


def test_the_key_is_in_no_name_record_or_error(
    server: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made = openai_describer(model="m", url=server.url, retries=0)
    server.script = [
        say.completion(f"Incorrect API key provided: {KEY}\nAn elephant on {KEY}\nAn elephant"),
        say.failure(401, f"Incorrect API key provided: {KEY}"),
    ]
    _, written = choose(made, descriptions=1)
    with pytest.raises(ModelError) as caught:
        choose(made)
    made.close()
    assert server.keys == [f"Bearer {KEY}"] * 2
    shown = [made.name, made.revision, repr(made), str(caught.value), json.dumps(to_json(written))]
    assert KEY not in " ".join(shown)


def test_nothing_is_opened_before_the_first_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = registry.resolve("describer", "openai")(model="gpt-5")
    assert made.name == "openai:gpt-5@https://api.openai.com/v1"
    assert made.revision == load_prompt(PROMPT).revision
    assert isinstance(made, Describer)
    made.close()
    with pytest.raises(ConfigError, match="needs a key; set OPENAI_API_KEY"):
        made.describe(request())
    unheard = registry.resolve("describer", "llama")(model="/no/such/folder")
    assert unheard.name == "llama:/no/such/folder"
    with pytest.raises(ModelError, match="there is no model folder"):
        unheard.describe(request())


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (llama_describer, {"temprature": 1}, "unknown option .* 'temprature': did you mean temper"),
        (llama_describer, {"url": "x"}, "unknown option of the describer llama 'url'"),
        (llama_describer, {"model": ""}, "needs describe.options.model"),
        (llama_describer, {"temperature": -1}, "temperature must be a number within 0 and 2"),
        (llama_describer, {"temperature": "hot"}, "temperature must be a number"),
        (llama_describer, {"top_p": 0}, "top_p must be a number within 0.01 and 1"),
        (llama_describer, {"max_tokens": 0}, "max_tokens must be a whole number, at least 1"),
        (llama_describer, {"dtype": 16}, "dtype must be a text"),
        (openai_describer, {}, "needs describe.options.model"),
        (openai_describer, {"model": "m", "api_key": KEY}, "Known: model, url, timeout"),
        (openai_describer, {"model": "m", "retries": 1.5}, "retries must be a whole number"),
        (openai_describer, {"model": "m", "timeout": True}, "timeout must be a number"),
        (openai_describer, {"model": "m", "url": "h:1"}, "not the URL of a server"),
        (openai_describer, {"model": "m", "url": f"http://u:{KEY}@h/v1"}, "must not carry"),
        (openai_describer, {"model": "m", "url": f"http://u:{KEY}@h:99999/v1"}, "must not carry"),
    ],
)
def test_options_are_checked_when_a_describer_is_made(
    make: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        make(**options)
    assert KEY not in str(caught.value)


def local(folder: Path, **options: Any) -> ChatDescriber:
    return llama_describer(model=str(folder), device="cpu", max_tokens=40, **options)


def test_a_model_that_babbles_is_turned_down_with_reasons(roomy_llama: Path) -> None:
    made = local(roomy_llama)
    with pytest.raises(GenerationError, match=r"only 0 of 2 .* after 2 rounds \(\d+ \w+") as caught:
        choose(made, attempts=2)
    assert str(caught.value) == str(pytest.raises(GenerationError, choose, made, attempts=2).value)
    _, written = choose(made, count=0)
    assert written and all(one.reason for one in written)
    assert made.describe(request(seed=4)) != made.describe(request(seed=5))
    made.close()


def test_a_prompt_that_the_model_cannot_read_is_said(tiny_llama: Path) -> None:
    made = local(tiny_llama)
    with pytest.raises(GenerationError, match=r"after 2 rounds \(2 no_reply\)"):
        choose(made, attempts=2)
    made.close()


def test_closing_frees_the_weights_and_the_next_asking_loads_them_again(roomy_llama: Path) -> None:
    made: Any = local(roomy_llama)
    first = made.describe(request())
    model = weakref.ref(made._chat._model)
    weight = weakref.ref(next(made._chat._model.parameters()))
    made.close()
    gc.collect()
    assert model() is None and weight() is None
    made.close()
    assert made.describe(request()) == first
    made.close()


def test_the_revision_joins_prompt_and_weights_and_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def pinned(source: str) -> str:
        asked.append(source)
        return "0123abc"

    opened: list[str] = []

    def load(spec: str, options: ChatOptions) -> Any:
        opened.append(spec)
        raise ModelError("enough seen")

    monkeypatch.setattr("advgen.hub.pinned_revision", pinned)
    monkeypatch.setattr("advgen.generation.describers.chat.load_chat", load)
    made = llama_describer(quantization="int4", dtype="bfloat16")
    assert asked == []
    assert made.name == "llama:meta-llama/Meta-Llama-3-8B-Instruct"
    assert made.revision == made.revision == f"{load_prompt(PROMPT).revision}+0123abc"
    with pytest.raises(ModelError, match="enough seen"):
        made.describe(request())
    assert opened == [f"{made.name}@0123abc"]
    assert asked == ["meta-llama/Meta-Llama-3-8B-Instruct"]


def test_the_revision_of_a_folder_is_that_of_its_files(tiny_llama: Path) -> None:
    made = local(tiny_llama)
    assert made.revision == f"{load_prompt(PROMPT).revision}+{folder_digest(tiny_llama)}"
