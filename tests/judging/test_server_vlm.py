import base64
import io
import math
from typing import Any

import pytest
from PIL import Image

from advgen.chat import ChatOptions
from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.generation.layout import decode_png, encode_png
from advgen.judging.server_vlm import ServerVlmJudge, open_server
from advgen.records import ClassPair
from advgen.scoring.judges import Look

pytest.importorskip("openai")
KEY = "sk-very-secret-key-0123456789"
PAIR = ClassPair("dog", "deer")
PICTURE = Image.new("RGB", (20, 10), (200, 30, 90))
LOOK = Look(PICTURE, PAIR)
QUICK = ChatOptions(timeout=5, retries=2)


def judge(server, **more) -> ServerVlmJudge:
    return ServerVlmJudge("eye", server.url, QUICK, workers=1, **more)


def likely(server, **shares: float) -> Any:
    """An answer whose first token has these alternatives; `_` stands for a space before it."""
    answer = server.answers.completion("Yes.")
    tops = [
        {"token": token.replace("_", " "), "logprob": math.log(share), "bytes": None}
        for token, share in shares.items()
    ]
    first = {**tops[0], "top_logprobs": tops}
    answer.body["choices"][0]["logprobs"] = {"content": [first, {**first, "token": "."}]}
    return answer


def test_the_share_of_all_spellings_of_yes_is_the_probability(server) -> None:
    probe = likely(server, Yes=1.0)
    present = likely(server, Yes=0.5, _yes=0.1, No=0.2, The=0.15, yesterday=0.05)
    target = likely(server, NO=0.9, _no=0.05, yes=0.05)
    server.script = [probe, present, target]
    verdict = judge(server).judge(PICTURE, {}, PAIR)
    assert verdict.true_present == pytest.approx(0.6 / 0.8)
    assert verdict.target_absent == pytest.approx(0.95)
    assert verdict.judge == "server:eye"


def test_pictures_and_questions_are_sent_and_nothing_else(server) -> None:
    server.script = [likely(server, Yes=0.9, No=0.1)]
    image, _ = decode_png(encode_png(PICTURE, {"prompt": "a secret prompt"}))
    opened = judge(server)
    opened.judge_many([Look(image, PAIR, {"scene": "secret truth"})])
    assert len(server.requests) == 3
    for request, thing in zip(server.requests[1:], ("a dog", "a deer"), strict=True):
        assert request["path"] == "/v1/chat/completions"
        assert (request["model"], request["temperature"], request["max_tokens"]) == ("eye", 0, 8)
        assert (request["logprobs"], request["top_logprobs"]) == (True, 20)
        (message,) = request["messages"]
        picture, question = message["content"]
        assert question["text"].splitlines()[1] == f"Is {thing} visible in it?"
        head, _, data = picture["image_url"]["url"].partition(",")
        raw = base64.b64decode(data)
        assert head == "data:image/png;base64"
        assert b"secret" not in raw
        with Image.open(io.BytesIO(raw)) as sent:
            assert sent.convert("RGB").tobytes() == PICTURE.tobytes()
    assert server.keys == ["Bearer none"] * 3


def test_many_images_at_once_keep_their_order(server) -> None:
    server.script = [likely(server, Yes=1.0)]
    opened = ServerVlmJudge("eye", server.url, QUICK, workers=8)
    assert opened.revision
    looks = [Look(Image.new("RGB", (n + 1, 1)), PAIR) for n in range(6)]
    seen: dict[int, float] = {}

    def by_width(image: Image.Image, question: str, form: object) -> Any:
        share = (image.width + (50 if "deer" in question else 0)) / 100
        seen[image.width] = share
        return _Choice(share)

    opened._eyes.answer = by_width  # type: ignore[method-assign]
    verdicts = opened.judge_many(looks)
    assert [v.true_present for v in verdicts] == pytest.approx([n / 100 for n in range(1, 7)])
    assert [v.target_absent for v in verdicts] == pytest.approx(
        [0.5 - n / 100 for n in range(1, 7)]
    )


class _Choice:
    """A choice whose first token is yes with this probability."""

    def __init__(self, share: float) -> None:
        tops = [_Token("Yes", share), _Token("No", 1 - share)]
        first = _Token("Yes", share)
        first.top_logprobs = tops
        self.logprobs = _Token("", 1.0)
        self.logprobs.content = [first]


class _Token:
    top_logprobs: list["_Token"]
    content: list["_Token"]

    def __init__(self, token: str, share: float) -> None:
        self.token, self.logprob = token, math.log(share)


@pytest.mark.parametrize("refused", [0, 1, 2, 3])
def test_a_server_is_asked_in_the_way_it_understands(server, refused: int) -> None:
    refusal = server.answers.failure(400, "unknown parameter")
    text = server.answers.completion("No, there is none.")
    rich = likely(server, Yes=0.2, No=0.8) if refused < 2 else text
    server.script = [*[refusal] * refused, rich]
    opened = judge(server)
    reading = "logprobs" if refused < 2 else "text"
    served, _, rest = opened.revision.partition("+")
    assert (served, rest.partition("+")[2]) == ("served-model-1.2", reading)
    verdict = opened.judge(PICTURE, {}, PAIR)
    expected = (0.2, 0.8) if refused < 2 else (0.0, 1.0)
    assert (verdict.true_present, verdict.target_absent) == pytest.approx(expected)
    keys = [
        set(request) & {"logprobs", "top_logprobs", "temperature"} for request in server.requests
    ]
    assert (
        keys[-1]
        == [*[{"logprobs", "top_logprobs", "temperature"}] * 2, {"temperature"}, set()][refused]
    )
    assert len(server.requests) == refused + 3


def test_a_server_that_passes_over_logprobs_is_read_by_its_words(server) -> None:
    say = server.answers.completion
    server.script = [say("Yes"), say(" **Yes**, there is."), say("no")]
    opened = judge(server)
    verdict = opened.judge(PICTURE, {}, PAIR)
    assert (verdict.true_present, verdict.target_absent) == (1.0, 1.0)
    assert opened.revision.endswith("+text")
    assert "logprobs" not in server.requests[-1]


@pytest.mark.parametrize("answer", ["I cannot tell.", "Yesterday", "", None])
def test_an_answer_that_is_neither_is_a_fault_of_that_image(server, answer) -> None:
    server.script = [server.answers.completion("Yes"), server.answers.completion(answer)]
    with pytest.raises(GenerationError, match="answered neither yes nor no"):
        judge(server).judge_many([LOOK])


def test_logprobs_without_yes_or_no_are_a_fault_of_that_image(server) -> None:
    server.script = [likely(server, Yes=1.0), likely(server, The=0.97, Yes=0.03)]
    with pytest.raises(GenerationError, match="answered neither yes nor no: 'Yes.'"):
        judge(server).judge_many([LOOK])


def test_a_busy_server_is_asked_again(server) -> None:
    busy = server.answers.failure(429, "slow down")
    server.script = [busy, likely(server, Yes=0.7, No=0.3)]
    assert judge(server).judge(PICTURE, {}, PAIR).true_present == pytest.approx(0.7)
    server.script = [server.answers.failure(503, "down")]
    with pytest.raises(ModelError, match=r"failed 3 times \(HTTP 503: down\)"):
        judge(server).judge(PICTURE, {}, PAIR)


@pytest.mark.parametrize(
    ("status", "message", "says"),
    [
        (401, f"bad key {KEY}", "refuses the key in OPENAI_API_KEY"),
        (404, f"no such model for {KEY}", "has no model 'eye'"),
        (400, f"no pictures for {KEY}", "does not accept the request"),
    ],
)
def test_the_key_goes_to_the_server_and_nowhere_else(
    server, status: int, message: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script = [server.answers.failure(status, message)]
    opened = judge(server)
    with pytest.raises(ModelError, match=says) as caught:
        assert opened.revision
    assert server.keys[0] == f"Bearer {KEY}"
    assert KEY not in f"{caught.value}{caught.value.__cause__}{opened.name}{vars(opened)}"
    echo = server.answers.completion(f"what is {KEY}?")
    server.script = [server.answers.completion("Yes"), echo]
    with pytest.raises(GenerationError) as echoed:
        judge(server).judge(PICTURE, {}, PAIR)
    assert KEY not in str(echoed.value)
    assert "***" in str(echoed.value)


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": "x"}, b"<html>"])
def test_what_is_no_completion_is_said_so(server, body) -> None:
    server.script = [server.answers.Answer(body=body)]
    with pytest.raises((GenerationError, ModelError), match="answered"):
        judge(server).judge(PICTURE, {}, PAIR)


def test_a_specification_names_model_and_server(server, monkeypatch) -> None:
    server.script = [likely(server, Yes=0.9, No=0.1)]
    opened = open_server(f"org/eye@{server.url}")
    assert opened.name == "server:org/eye"
    assert opened.judge(PICTURE, {}, PAIR).target_absent == pytest.approx(0.1)
    opened.close()
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert open_server("org/eye").judge(PICTURE, {}, PAIR).judge == "server:org/eye"
    for wrong in ("", "eye@localhost:8000/v1", "@http://h/v1"):
        with pytest.raises(ConfigError, match="write the judge as|write MODEL"):
            open_server(wrong)
    with pytest.raises(ConfigError, match="must not carry a user name"):
        open_server("eye@http://me:pass@host/v1")
