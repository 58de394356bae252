from typing import Any

import pytest

from advgen.chat import ChatModel, ChatOptions, Message, Reply, load_chat
from advgen.errors import AdvgenError, ConfigError, GenerationError, ModelError

KEY = "sk-secret-0123456789"
TALK = [Message("system", "be brief"), Message("user", "hi")]


def ask(server: Any, *script: Any, timeout: float = 10.0, **named: Any) -> Reply:
    server.script = list(script)
    chat = load_chat(f"openai:some/model@{server.url}/", ChatOptions(timeout=timeout, retries=2))
    try:
        return chat.complete(TALK, max_tokens=5, **named)
    finally:
        chat.close()


@pytest.fixture
def say(server: Any) -> Any:
    """The functions that make scripted answers, from the conftest beside this file."""
    return server.answers


def test_a_reply_carries_text_end_and_counts(server: Any, say: Any) -> None:
    reply = ask(server, say.completion("hello"), temperature=0.5, seed=(1 << 40) + 3)
    assert reply == Reply("hello", "stop", 11, 7, "served-model-1.2")
    assert server.requests == [
        {
            "path": "/v1/chat/completions",
            "model": "some/model",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hi"},
            ],
            "max_tokens": 5,
            "temperature": 0.5,
            "seed": 3,
        }
    ]


def test_without_a_temperature_the_server_uses_its_own(server: Any, say: Any) -> None:
    ask(server, say.completion("x"))
    assert "temperature" not in server.requests[0]


@pytest.mark.parametrize(
    ("text", "finish", "more", "expected"),
    [
        ("whole", "stop", {}, ("whole", "stop")),
        ("cut o", "length", {}, ("cut o", "length")),
        (None, "stop", {"refusal": "I won't"}, ("", "refusal")),
        ("", "content_filter", {}, ("", "refusal")),
        ("", "stop", {}, ("", "stop")),
        (None, "stop", {}, ("", "stop")),
    ],
)
def test_how_an_answer_ended(
    server: Any,
    say: Any,
    text: str | None,
    finish: str,
    more: dict[str, Any],
    expected: tuple[str, str],
) -> None:
    reply = ask(server, say.completion(text, finish, **more))
    assert (reply.text, reply.finish) == expected


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Any, say: Any, status: int) -> None:
    assert ask(server, say.failure(status, "busy"), say.completion("x")).text == "x"
    assert len(server.requests) == 2


def test_a_server_without_counts_gives_none(server: Any, say: Any) -> None:
    answer = say.completion("x")
    del answer.body["usage"], answer.body["model"]
    assert ask(server, answer) == Reply("x", "stop", None, None, "")


@pytest.mark.parametrize(
    ("status", "message", "more", "kind", "says", "requests"),
    [
        (500, "oops", {}, ModelError, r"failed 3 times \(HTTP 500: oops\)", 3),
        (429, "quota", {}, ModelError, r"failed 3 times \(HTTP 429: quota\)", 3),
        (401, "no", {}, ModelError, "wants a key .HTTP 401.; set OPENAI_API_KEY", 1),
        (403, "no", {}, ModelError, "wants a key", 1),
        (404, "unknown model", {}, ModelError, "has no model 'some/model'.*mostly in /v1", 1),
        (400, "too long", {}, ModelError, "does not accept the request .HTTP 400: too long", 1),
        (400, "bad", {"code": "content_filter"}, GenerationError, "declined", 1),
    ],
)
def test_a_refused_request_says_what_to_do(
    server: Any,
    say: Any,
    status: int,
    message: str,
    more: dict[str, Any],
    kind: type[AdvgenError],
    says: str,
    requests: int,
) -> None:
    with pytest.raises(kind, match=says):
        ask(server, say.failure(status, message, **more))
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    "body",
    [
        b"{not json",
        b"",
        b'"hello"',
        [],
        {"choices": []},
        {"choices": None},
        {"choices": [{"message": None, "finish_reason": "stop"}]},
        {"choices": ["x"]},
        {"error": {"message": "in spite of 200"}},
    ],
)
def test_an_answer_that_is_no_completion_costs_one_conversation(
    server: Any, say: Any, body: Any
) -> None:
    with pytest.raises(GenerationError, match="unreadable|not with a chat completion"):
        ask(server, say.Answer(body=body))


def test_a_slow_server_is_given_up_after_the_bound(server: Any, say: Any) -> None:
    server.script = [say.Answer(wait=0.4, body={})]
    chat = load_chat(f"openai:m@{server.url}", ChatOptions(timeout=0.1, retries=1))
    with pytest.raises(ModelError, match="did not answer within 0.1 s, 2 times"):
        chat.complete(TALK, max_tokens=5)
    chat.close()


def test_no_server(server: Any) -> None:
    url = server.url
    server.close()
    chat = load_chat(f"openai:m@{url}", ChatOptions(retries=0))
    with pytest.raises(ModelError, match=f"no server answers at {url}"):
        chat.complete(TALK, max_tokens=5)
    chat.close()


def test_the_newer_name_of_the_limit_is_learnt_once(server: Any, say: Any) -> None:
    server.script = [
        say.failure(400, "Unsupported: 'max_tokens'. Use 'max_completion_tokens' instead."),
        say.completion("one"),
    ]
    chat = load_chat(f"openai:m@{server.url}")
    assert [chat.complete(TALK, max_tokens=9).text for _ in range(2)] == ["one", "one"]
    chat.close()
    limits = [(r.get("max_tokens"), r.get("max_completion_tokens")) for r in server.requests]
    assert limits == [(9, None), (None, 9), (None, 9)]


SCHEMA = {"type": "object", "properties": {}}


def test_the_schema_and_the_nucleus_are_sent(server: Any, say: Any) -> None:
    ask(server, say.completion("{}"), schema=SCHEMA, top_p=0.9)
    form = {"name": "answer", "schema": SCHEMA, "strict": True}
    assert server.requests[0]["response_format"] == {"type": "json_schema", "json_schema": form}
    assert server.requests[0]["top_p"] == 0.9


@pytest.mark.parametrize("status", [400, 415, 422, 501])
def test_a_refused_schema_is_left_out_from_then_on(server: Any, say: Any, status: int) -> None:
    server.script = [say.failure(status, "no schemas here"), say.completion("free")]
    chat = load_chat(f"openai:m@{server.url}", ChatOptions(retries=0))
    texts = [chat.complete(TALK, max_tokens=5, schema=SCHEMA).text for _ in range(2)]
    chat.close()
    assert texts == ["free", "free"]
    assert ["response_format" in asked for asked in server.requests] == [True, False, False]


@pytest.mark.parametrize(("status", "more"), [(401, {}), (400, {"code": "content_filter"})])
def test_other_refusals_have_nothing_to_do_with_the_schema(
    server: Any, say: Any, status: int, more: dict[str, Any]
) -> None:
    with pytest.raises(AdvgenError):
        ask(server, say.failure(status, "no", **more), schema=SCHEMA)
    assert len(server.requests) == 1


def test_a_key_that_the_answer_repeats_is_taken_out(
    server: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert ask(server, say.completion(f"your key is {KEY}")).text == "your key is ***"
    monkeypatch.setenv("OPENAI_API_KEY", "cat")
    assert ask(server, say.completion("a cat on a mat")).text == "a cat on a mat"


def test_the_key_goes_to_the_server_and_nowhere_else(
    server: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    for status in (400, 401, 500):
        with pytest.raises(ModelError) as caught:
            ask(server, say.failure(status, f"Incorrect API key provided: {KEY}"))
        assert KEY not in str(caught.value)
        assert caught.value.__suppress_context__ and caught.value.__cause__ is None
    assert set(server.keys) == {f"Bearer {KEY}"}
    chat = load_chat(f"openai:m@{server.url}")
    assert KEY not in chat.name + chat.revision + repr(chat)
    chat.close()


def test_the_server_may_come_from_the_environment(
    server: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    server.script = [say.completion("x")]
    chat = load_chat("openai:@cf/meta/llama-3")
    assert chat.name == f"openai:@cf/meta/llama-3@{server.url}"
    assert isinstance(chat, ChatModel)
    assert chat.complete(TALK, max_tokens=5).text == "x"
    assert server.requests[0]["model"] == "@cf/meta/llama-3"
    chat.close()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("gpt-4o", "OpenAI's server needs a key; set OPENAI_API_KEY"),
        ("m@localhost:8000/v1", "no usable URL"),
        ("m@http:///v1", "is not the URL of a server"),
        ("m@http://h:99999/v1", "is not the URL of a server"),
        ("m@http://user:pass@host/v1", "must not carry"),
        ("m@http://user:pass@host:99999/v1", "must not carry"),
        ("m@https://host/v1?api-key=1", "must not carry"),
    ],
)
def test_unusable_targets(server: Any, target: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_chat(f"openai:{target}")
    assert "pass" not in str(caught.value)
