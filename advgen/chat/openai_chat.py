"""A chat model on a server that speaks the OpenAI chat protocol."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import openai

from advgen.chat.address import KEY_VARIABLE, OPENAI_URL, server_address
from advgen.chat.protocol import ChatOptions, Finish, Message, Reply
from advgen.errors import AdvgenError, ConfigError, GenerationError, ModelError

_TARGET = re.compile(r"(?P<model>.+?)@(?P<url>https?://.+)")
_NO_KEY = "none"
_SHORTEST_KEY = 16
_REFUSED_FORM = (400, 415, 422, 501)
_SEEDS = 1 << 31
_FILTERED = ("content_filter", "content_policy_violation")


class OpenaiChat:
    """One model of one server.

    The key is read from the environment and goes nowhere but to that server. Time-outs, 429 and 5xx
    are tried again by the client, with growing pauses or as long as the server asks for.

    Args:
        model: The server's name for the model.
        url: Base URL, usually ending in `/v1`.
        options: `timeout` and `retries` are used.

    Raises:
        ConfigError: If the URL is none, or carries a user name, a key or a query.
    """

    def __init__(self, model: str, url: str, options: ChatOptions) -> None:
        self._model, self._url = model, server_address(url)
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        if not self._key and self._url == OPENAI_URL:
            raise ConfigError(f"OpenAI's server needs a key; set {KEY_VARIABLE}, or name a server")
        self.name = f"openai:{model}@{self._url}"
        self.revision = ""
        self._options = options
        self._limit = "max_tokens"
        self._takes_schemas = True
        self._client: Any = openai.OpenAI(
            api_key=self._key or _NO_KEY,
            base_url=self._url,
            timeout=options.timeout,
            max_retries=options.retries,
        )

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int = 0,
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        """See `ChatModel.complete`; the seed is folded to 31 bits, which all servers take.

        A server that refuses the schema is asked again without, and not with one from then on.
        """
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": turn.role, "content": turn.content} for turn in messages],
            "seed": seed % _SEEDS,
        }
        if temperature is not None:
            request["temperature"] = temperature
        if top_p is not None:
            request["top_p"] = top_p
        try:
            return self._reply(self._send(request, max_tokens, schema))
        except openai.OpenAIError as error:
            raise self._fault(error) from None
        except ValueError as error:
            raise GenerationError(f"{self._url} answered with something unreadable") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(
        self, request: dict[str, Any], max_tokens: int, schema: Mapping[str, Any] | None
    ) -> Any:
        """One request, with a schema where the server takes one."""
        if schema is None or not self._takes_schemas:
            return self._limited(request, max_tokens)
        form = {"name": "answer", "schema": dict(schema), "strict": True}
        try:
            asked = {**request, "response_format": {"type": "json_schema", "json_schema": form}}
            return self._limited(asked, max_tokens)
        except openai.APIStatusError as error:
            if error.status_code not in _REFUSED_FORM or error.code in _FILTERED:
                raise
        completion = self._limited(request, max_tokens)
        self._takes_schemas = False
        return completion

    def _limited(self, request: dict[str, Any], max_tokens: int) -> Any:
        """One request; newer OpenAI models want the limit under another name and say so."""
        try:
            return self._client.chat.completions.create(**{self._limit: max_tokens}, **request)
        except openai.BadRequestError as error:
            if self._limit != "max_tokens" or "max_completion_tokens" not in str(error):
                raise
        self._limit = "max_completion_tokens"
        return self._client.chat.completions.create(**{self._limit: max_tokens}, **request)

    def _fault(self, error: openai.OpenAIError) -> AdvgenError:
        """What the user can do about a failed request. The chain is cut: it may hold the key."""
        url, tries = self._url, self._options.retries + 1
        if isinstance(error, openai.APITimeoutError):
            seconds = f"{self._options.timeout:g} s"
            return ModelError(
                f"{url} did not answer within {seconds}, {tries} times; "
                "raise the time-out or use a smaller model"
            )
        if isinstance(error, openai.APIConnectionError):
            return ModelError(f"no server answers at {url}; start it or correct the URL")
        if isinstance(error, openai.APIStatusError):
            return self._status_fault(error)
        return GenerationError(f"{url} answered with something unreadable")

    def _status_fault(self, error: openai.APIStatusError) -> AdvgenError:
        url, code, said = self._url, error.status_code, self._said(error)
        if code in (401, 403):
            state = f"refuses the key in {KEY_VARIABLE}" if self._key else "wants a key"
            return ModelError(f"{url} {state} (HTTP {code}); set {KEY_VARIABLE} to a valid key")
        if code == 404:
            return ModelError(
                f"{url} has no model '{self._model}' (HTTP 404: {said}); see {url}/models, and "
                "check that the URL ends as the server wants it, mostly in /v1"
            )
        if code == 429 or code >= 500:
            return ModelError(
                f"{url} failed {self._options.retries + 1} times (HTTP {code}: {said}); "
                "try again later"
            )
        if error.code in _FILTERED:
            return GenerationError(f"{url} declined this conversation (HTTP {code}: {said})")
        return ModelError(f"{url} does not accept the request (HTTP {code}: {said})")

    def _said(self, error: openai.APIStatusError) -> str:
        """The server's own words, short, without the key should it have echoed that."""
        body = error.body
        text = str(body.get("message", "")) if isinstance(body, dict) else ""
        text = " ".join((text or str(body or "no reason given")).split())
        return (text.replace(self._key, "***") if self._key else text)[:200]

    def _reply(self, completion: Any) -> Reply:
        """Read a completion field by field: servers leave out what they like."""
        choices = getattr(completion, "choices", None)
        first = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(first, "message", None)
        if message is None:
            raise GenerationError(f"{self._url} answered, but not with a chat completion")
        text = message.content if isinstance(getattr(message, "content", None), str) else ""
        refusal = getattr(message, "refusal", None)
        usage = getattr(completion, "usage", None)
        return Reply(
            text=self._without_key(text),
            finish=_finish(getattr(first, "finish_reason", None), bool(refusal) and not text),
            prompt_tokens=getattr(usage, "prompt_tokens", None),
            completion_tokens=getattr(usage, "completion_tokens", None),
            model=str(getattr(completion, "model", None) or ""),
        )

    def _without_key(self, text: str) -> str:
        """An answer that repeats a real key is not worth keeping whole."""
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST_KEY else text


def open_openai(target: str, options: ChatOptions) -> OpenaiChat:
    """Read `MODEL@BASE_URL`, or `MODEL` alone for the server in the environment; see `load_chat`.

    Raises:
        ConfigError: If there is no model name or the URL cannot be used.
    """
    found = _TARGET.fullmatch(target)
    if found:
        return OpenaiChat(found["model"], found["url"], options)
    if "@" in target[1:] and "/" in target.rpartition("@")[2]:
        raise ConfigError(f"'{target}' has no usable URL; write MODEL@http://HOST:PORT/v1")
    return OpenaiChat(target, server_address(), options)


def _finish(reason: object, refused: bool) -> Finish:
    if refused or reason == "content_filter":
        return "refusal"
    return "length" if reason == "length" else "stop"
