"""A chat model by its specification, `KIND:TARGET`."""

from __future__ import annotations

from collections.abc import Callable

from advgen import registry
from advgen.chat.protocol import ChatModel, ChatOptions
from advgen.errors import ConfigError

FORMS = "openai:MODEL@BASE_URL or llama:ID_OR_FOLDER"


def load_chat(spec: str, options: ChatOptions | None = None) -> ChatModel:
    """Open a chat model.

    Args:
        spec: One of

            - ``"openai:MODEL@BASE_URL"``: a model on any server that speaks the OpenAI chat
              protocol (vLLM, Ollama, llama.cpp, OpenAI), for example
              ``"openai:llama3@http://localhost:11434/v1"``. Without ``@BASE_URL`` it is
              ``$OPENAI_BASE_URL``, else OpenAI's. A key, where one is needed, is read from
              ``$OPENAI_API_KEY``;
            - ``"llama:ID_OR_FOLDER"``: an instruction-tuned model in this process, by its
              Hugging Face id or local folder, for example
              ``"llama:meta-llama/Meta-Llama-3-8B-Instruct"``.
        options: Device, number format, time-out, retries; the defaults if None.

    Raises:
        ConfigError: If the specification is not of such a form, or a package is missing.
        ModelError: If the model cannot be loaded.
    """
    kind, colon, target = spec.partition(":")
    if not colon or not target.strip():
        raise ConfigError(f"'{spec}' is not a chat model; write {FORMS}")
    opener: Callable[[str, ChatOptions], ChatModel] = registry.resolve("chat model", kind)
    return opener(target.strip(), options or ChatOptions())
