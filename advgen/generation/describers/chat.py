"""Describers that are chat models: one in this process, or one on a server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from advgen.chat import (
    ChatModel,
    ChatOptions,
    DroppedLine,
    ListReply,
    Reply,
    load_chat,
    load_prompt,
    parse_list,
)
from advgen.chat.address import server_address
from advgen.errors import ConfigError
from advgen.generation.protocols import DescribeRequest
from advgen.registry import unknown_name

PROMPT = "describe.toml"
MAX_TOKENS = 4096
_SHOWN_AGAIN = 60
_REPOSITORY = re.compile(r"[\w.-]*\w/[\w.-]+(?:@\S+)?")
_SCHEMA = {
    "type": "object",
    "properties": {"sentences": {"type": "array", "items": {"type": "string"}}},
    "required": ["sentences"],
    "additionalProperties": False,
}
_SAMPLING: dict[str, Any] = {"temperature": 0.6, "top_p": 0.9, "max_tokens": MAX_TOKENS}
_LLAMA: dict[str, Any] = {
    "model": "meta-llama/Meta-Llama-3-8B-Instruct",
    "device": "auto",
    "dtype": "auto",
    "quantization": "none",
}
_OPENAI: dict[str, Any] = {"model": "", "url": "", "timeout": 180.0, "retries": 4}


class ChatDescriber:
    """Asks a chat model for sentences; the model is opened at the first asking.

    Args:
        name: Who writes, as it is recorded; without a key.
        open_chat: Opens the model.
        revision_of_model: Identifies the weights without loading them; gives "" where only the
            server knows.
        temperature: Of the sampling; None for the model's own.
        top_p: Share of the probability that is sampled from; None for the model's own.
        max_tokens: Upper bound of a reply, thoughts included.

    Source: arXiv 2406.04341, Sec. 5.1 and Table 6.
    """

    def __init__(
        self,
        name: str,
        open_chat: Callable[[], ChatModel],
        *,
        revision_of_model: Callable[[], str] = str,
        temperature: float | None = 0.6,
        top_p: float | None = 0.9,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self.name = name
        self._open_chat = open_chat
        self._revision_of_model = revision_of_model
        self._sampling = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
        self._prompt = load_prompt(PROMPT)
        self._chat: ChatModel | None = None
        self._revision = ""

    @property
    def revision(self) -> str:
        """The prompt's revision and the weights', joined by `+`; asked for once.

        Raises:
            ModelError: If the model's revision cannot be found out.
        """
        if not self._revision:
            model = self._revision_of_model()
            self._revision = f"{self._prompt.revision}+{model}" if model else self._prompt.revision
        return self._revision

    def describe(self, request: DescribeRequest) -> ListReply:
        """See `Describer.describe`; of `known` the latest 60 are shown."""
        if self._chat is None:
            self._chat = self._open_chat()
        messages = self._prompt.messages(
            true_class=request.pair.true_class,
            target_class=request.pair.target_class,
            target_synonyms=request.target_synonyms,
            words=request.words,
            count=request.count,
            known=request.known[-_SHOWN_AGAIN:],
            examples=request.examples,
        )
        return read_reply(
            self._chat.complete(messages, seed=request.seed, schema=_SCHEMA, **self._sampling)
        )

    def close(self) -> None:
        """Close the model, which frees its weights."""
        if self._chat is not None:
            self._chat.close()
            self._chat = None


def read_reply(reply: Reply) -> ListReply:
    """The items of a reply; one without any has at least one part that says why."""
    text = reply.text.strip()
    if reply.finish == "refusal":
        return ListReply((), (DroppedLine(text, "refusal"),))
    if not text:
        return ListReply((), (DroppedLine("", "cut_off" if reply.finish == "length" else "empty"),))
    return parse_list(reply.text, cut=reply.finish == "length")


def llama_describer(**options: Any) -> ChatDescriber:
    """A model in this process, by default Llama 3 8B Instruct.

    Args:
        **options: `model` (Hugging Face id, perhaps with `@REVISION`, or local folder),
            `device`, `dtype`, `quantization` (`none`, `int8`, `int4`), `temperature`, `top_p`,
            `max_tokens`.

    Raises:
        ConfigError: If an option is unknown or its value cannot be used.
    """
    values = _checked("llama", options, {**_LLAMA, **_SAMPLING})
    model = values["model"]
    chat = ChatOptions(**{key: values[key] for key in ("device", "dtype", "quantization")})
    pinned = cache(partial(_pinned, model))
    return ChatDescriber(
        f"llama:{model}",
        lambda: load_chat(f"llama:{_at(model, pinned)}", chat),
        revision_of_model=pinned,
        **{key: values[key] for key in _SAMPLING},
    )


def openai_describer(**options: Any) -> ChatDescriber:
    """A model on a server that speaks the OpenAI chat protocol (vLLM, Ollama, llama.cpp, OpenAI).

    Args:
        **options: `model`, `url` (if missing `$OPENAI_BASE_URL`, else OpenAI's), `timeout` in
            seconds, `retries`, `temperature`, `top_p`, `max_tokens`. A key is read from
            `$OPENAI_API_KEY` only.

    Raises:
        ConfigError: If an option is unknown or missing, or the URL cannot be used.
    """
    values = _checked("openai", options, {**_OPENAI, **_SAMPLING})
    name = f"openai:{values['model']}@{server_address(values['url'])}"
    chat = ChatOptions(timeout=values["timeout"], retries=values["retries"])
    sampling = {key: values[key] for key in _SAMPLING}
    return ChatDescriber(name, lambda: load_chat(name, chat), **sampling)


def _pinned(model: str) -> str:
    from advgen.hub import pinned_revision

    return pinned_revision(model)


def _at(model: str, pinned: Callable[[], str]) -> str:
    """The model at the recorded commit; a folder, and what is no repository's id, as it is."""
    from advgen.hub import is_folder

    if is_folder(model) or not _REPOSITORY.fullmatch(model):
        return model
    return f"{model.partition('@')[0]}@{pinned()}"


def _checked(kind: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their defaults; numbers of another kind or size are refused."""
    for name in given:
        if name not in known:
            raise ConfigError(unknown_name(f"option of the describer {kind}", name, known))
    values = {**known, **given}
    _require(
        isinstance(values["model"], str) and bool(values["model"].strip()),
        f"the describer {kind} needs describe.options.model, the name of a model",
    )
    ranges = {"temperature": (0.0, 2.0), "top_p": (0.01, 1.0), "timeout": (0.001, 1e6)}
    for name, (low, high) in ranges.items():
        number = values.get(name, low)
        fits = isinstance(number, int | float) and not isinstance(number, bool)
        _require(
            fits and low <= number <= high,
            f"describe.options.{name} must be a number within {low:g} and {high:g}; got {number}",
        )
    for name, low in {"max_tokens": 1, "retries": 0}.items():
        number = values.get(name, low)
        _require(
            isinstance(number, int) and not isinstance(number, bool) and number >= low,
            f"describe.options.{name} must be a whole number, at least {low}; got {number}",
        )
    for name in ("device", "dtype", "quantization", "url"):
        _require(isinstance(values.get(name, ""), str), f"describe.options.{name} must be a text")
    return values


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)
