"""A vision-language model on a server that speaks the OpenAI chat protocol."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Literal

import openai
from PIL import Image

from advgen.chat import ChatOptions, load_prompt
from advgen.chat.openai_chat import OpenaiChat
from advgen.errors import ConfigError, GenerationError
from advgen.judging.vlm import LEAST_MASS, PROMPT, means, questions
from advgen.records import ClassPair, Verdict
from advgen.scoring.judges import Look

Reading = Literal["logprobs", "text"]
_TARGET = re.compile(r"(?P<model>.+?)(@(?P<url>https?://.+))?")
_WORD = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_FORMS: tuple[dict[str, Any], ...] = (
    {"temperature": 0, "logprobs": True, "top_logprobs": 20},
    {"temperature": 0, "logprobs": True, "top_logprobs": 5},
    {"temperature": 0},
    {},
)
"""How a question is put, the most telling form first; servers refuse what they do not know."""
_REFUSED = (400, 415, 422, 501)
_MAX_TOKENS = 8
_PROBE = Image.new("RGB", (64, 64), (127, 127, 127))


class _Eyes(OpenaiChat):
    """A chat model that is shown pictures."""

    def ask(self, image: Image.Image, question: str, form: Mapping[str, Any]) -> Any:
        """One completion; faults of the server are those of `openai`."""
        picture = {"type": "image_url", "image_url": {"url": data_url(image)}}
        content = [picture, {"type": "text", "text": question}]
        request = {"model": self._model, "messages": [{"role": "user", "content": content}]}
        return self._limited({**request, **form}, _MAX_TOKENS)

    def answer(self, image: Image.Image, question: str, form: Mapping[str, Any]) -> Any:
        """The first choice of a completion.

        Raises:
            GenerationError: If this question got no answer.
            ModelError: If the server cannot be used as it is.
        """
        try:
            choices = getattr(self.ask(image, question, form), "choices", None)
        except openai.OpenAIError as error:
            raise self._fault(error) from None
        except ValueError as error:
            raise self.unreadable() from error
        if not isinstance(choices, list) or not choices:
            raise self.unreadable()
        return choices[0]

    def accepted_form(self, question: str) -> tuple[Mapping[str, Any], Reading, str]:
        """The first form that the server takes, what it answers with, and its name of the model."""
        for form in _FORMS:
            try:
                completion = self.ask(_PROBE, question, form)
            except openai.APIStatusError as error:
                if error.status_code not in _REFUSED or form is _FORMS[-1]:
                    raise self._fault(error) from None
                continue
            except openai.OpenAIError as error:
                raise self._fault(error) from None
            except ValueError as error:
                raise self.unreadable() from error
            choices = getattr(completion, "choices", None)
            if not isinstance(choices, list) or not choices:
                raise self.unreadable()
            served = self._without_key(str(getattr(completion, "model", None) or self._model))
            if _first_tokens(choices[0]):
                return form, "logprobs", served
            plain = {key: value for key, value in form.items() if "logprobs" not in key}
            return plain, "text", served
        raise AssertionError("the last form ends the loop")

    def unreadable(self) -> GenerationError:
        """What to say of an answer that is no chat completion."""
        return GenerationError(f"{self._url} answered, but not with a chat completion")


class ServerVlmJudge:
    """One vision-language model of one server (vLLM, Ollama, llama.cpp, OpenAI ...).

    Where the server gives the log probabilities of the first token's alternatives, the probability
    of yes is the share of all spellings of "yes" among those of "yes" and "no"; otherwise the
    answer's first word counts as 0 or 1, and the revision ends in `+text`. Which of the two is
    found out with one question before the first image. Only the picture and the question are sent:
    no prompt, no provenance.

    Differs from the paper: there people looked.

    Args:
        model: The server's name for the model.
        url: Base URL, usually ending in `/v1`; if empty `$OPENAI_BASE_URL`, else OpenAI's.
        options: `timeout` and `retries` are used; the defaults if None.
        workers: How many questions are asked at once.

    Raises:
        ConfigError: If the URL is none, or carries a user name, a key or a query.
    """

    def __init__(
        self, model: str, url: str = "", options: ChatOptions | None = None, *, workers: int = 4
    ) -> None:
        self._eyes = _Eyes(model, url, options or ChatOptions())
        self._prompt = load_prompt(PROMPT)
        self._workers = workers
        self.name = f"server:{model}"

    @property
    def revision(self) -> str:
        """The server's name of the model, the questions, and `logprobs` or `text`.

        Raises:
            ModelError: If the server cannot be used as it is.
        """
        _, reading, served = self._form
        return f"{served}+{self._prompt.revision}+{reading}"

    def judge(self, image: Image.Image, truth: Mapping[str, Any], pair: ClassPair) -> Verdict:
        """See `Judge.judge`; the truth is not sent."""
        return self.judge_many([Look(image, pair)])[0]

    def judge_many(self, looks: Sequence[Look]) -> list[Verdict]:
        """See `BatchJudge.judge_many`."""
        form, reading, _ = self._form
        asked = [
            (look.image, self._question(thing, careful))
            for look in looks
            for thing, careful in questions(look.pair)
        ]

        def yes(one: tuple[Image.Image, str]) -> float:
            choice = self._eyes.answer(*one, form)
            return self._by_logprobs(choice) if reading == "logprobs" else self._by_text(choice)

        with ThreadPoolExecutor(self._workers) as pool:
            answers = list(pool.map(yes, asked))
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return [Verdict(self.name, present, 1 - target) for present, target in pairs]

    def close(self) -> None:
        """Close the connections."""
        self._eyes.close()

    @cached_property
    def _form(self) -> tuple[Mapping[str, Any], Reading, str]:
        return self._eyes.accepted_form(self._question("dog", False))

    def _question(self, thing: str, careful: bool) -> str:
        return self._prompt.messages(thing=thing, careful=careful)[-1].content

    def _by_logprobs(self, choice: Any) -> float:
        said = [(means(token), math.exp(value)) for token, value in _first_tokens(choice)]
        yes, no = (sum(p for meaning, p in said if meaning is side) for side in (True, False))
        if yes + no < LEAST_MASS:
            raise self._no_answer(choice)
        return yes / (yes + no)

    def _by_text(self, choice: Any) -> float:
        found = _WORD.match(_text(choice))
        if found is None:
            raise self._no_answer(choice)
        return float(found[1].casefold() == "yes")

    def _no_answer(self, choice: Any) -> GenerationError:
        text = self._eyes._without_key(" ".join(_text(choice).split()))[:60]
        return GenerationError(f"{self.name} answered neither yes nor no: '{text}'")


def open_server(target: str = "") -> ServerVlmJudge:
    """The judge of `server:MODEL@BASE_URL` or `server:MODEL`; see `open_judge`.

    Raises:
        ConfigError: If there is no model name or the URL cannot be used.
    """
    found = _TARGET.fullmatch(target)
    unread = found["model"].partition("@")[2] if found else ""
    if found is None or target.startswith("@") or "/" in unread:
        raise ConfigError("write the judge as server:MODEL@http://HOST:PORT/v1")
    return ServerVlmJudge(found["model"], found["url"] or "")


def data_url(image: Image.Image) -> str:
    """An image as a PNG inside a URL, without anything that it carried beside its pixels."""
    bare = Image.new("RGB", image.size)
    bare.paste(image)
    buffer = io.BytesIO()
    bare.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _first_tokens(choice: Any) -> list[tuple[str, float]]:
    """Alternatives of the answer's first token with log probabilities; empty where not given."""
    content = getattr(getattr(choice, "logprobs", None), "content", None)
    first: Any = content[0] if isinstance(content, list) and content else None
    tops: Iterable[Any] = getattr(first, "top_logprobs", None) or ([first] if first else [])
    read = ((getattr(top, "token", None), getattr(top, "logprob", None)) for top in tops)
    return [
        (token, min(0.0, float(value)))
        for token, value in read
        if isinstance(token, str) and isinstance(value, int | float) and not math.isnan(value)
    ]


def _text(choice: Any) -> str:
    text = getattr(getattr(choice, "message", None), "content", None)
    return text if isinstance(text, str) else ""
