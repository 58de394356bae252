"""What the package asks of a chat model, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Finish = Literal["stop", "length", "refusal"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered.

    Attributes:
        text: The answer; empty when there is none.
        finish: `stop` (the model ended by itself), `length` (cut at `max_tokens`) or `refusal`
            (the model or its server declined).
        prompt_tokens: Tokens that were read; None when the server does not say.
        completion_tokens: Tokens that were written; None when the server does not say.
        model: The model that answered, in its server's words (often with a version).
    """

    text: str
    finish: Finish
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """How to reach or load a chat model; each kind of model uses what concerns it.

    Attributes:
        device: Where a local model is put: `auto` (what accelerate chooses), `cpu`, `cuda:1` ...
        dtype: Number format of a local model: `auto` (the checkpoint's), `float32`, `bfloat16`,
            `float16`.
        quantization: Weights of a local model in 8 or 4 bits, `int8` or `int4`; `none` for the
            number format as it is.
        timeout: Seconds that a server may take for one answer.
        retries: How often a request is sent again after a time-out, a 429 or a 5xx.
    """

    device: str = "auto"
    dtype: str = "auto"
    quantization: str = "none"
    timeout: float = 180.0
    retries: int = 4


@runtime_checkable
class ChatModel(Protocol):
    """Answers a conversation.

    `name` is the specification that `load_chat` reads. `revision` identifies the weights, and is
    empty where only the server knows them.
    """

    name: str
    revision: str

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
        """Answer a conversation.

        Args:
            messages: The turns so far; the last one is the user's.
            max_tokens: Upper bound of the answer, in tokens.
            temperature: 0 for the likeliest answer; None for the model's own setting.
            top_p: Share of the probability that is sampled from, in (0, 1]; None for the model's
                own setting.
            seed: Seed of the sampling, at least 0.
            schema: JSON schema that the answer should follow. A wish: those who cannot force it
                answer freely, so the answer must be checked all the same.

        Raises:
            GenerationError: If this conversation got no usable answer; another one may.
            ModelError: If the model or its server cannot be used as it is.
        """
        ...

    def close(self) -> None:
        """Let go of memory and connections; the model cannot answer afterwards."""
        ...
