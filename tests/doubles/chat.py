"""A server that speaks the OpenAI chat protocol on the loopback, and a tiny Llama on disk."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest


@dataclass
class Answer:
    """One scripted HTTP answer."""

    status: int = 200
    body: Any = None
    wait: float = 0.0
    headers: dict[str, str] = field(default_factory=lambda: {"retry-after-ms": "1"})


def completion(text: str | None, finish: str = "stop", **message: Any) -> Answer:
    return Answer(
        body={
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "served-model-1.2",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish,
                    "message": {"role": "assistant", "content": text, **message},
                }
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    )


def failure(status: int, message: str, **more: Any) -> Answer:
    return Answer(status, {"error": {"message": message, "type": "x", **more}})


class ChatServer:
    """Answers with the script in turn, its last line again and again; keeps what it was asked."""

    answers = SimpleNamespace(Answer=Answer, completion=completion, failure=failure)

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                outer.requests.append(
                    {"path": self.path, **json.loads(self.rfile.read(length).decode())}
                )
                outer.keys.append(self.headers.get("Authorization"))
                answer = outer.script.pop(0) if len(outer.script) > 1 else outer.script[0]
                time.sleep(answer.wait)
                self.reply(answer)

            def reply(self, answer: Answer) -> None:
                raw = answer.body if isinstance(answer.body, bytes) else None
                data = json.dumps(answer.body).encode() if raw is None else raw
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    running = ChatServer()
    yield running
    running.close()


TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CORPUS = ["Image with a cat on a mat", "Photo taken at night", "Picture of two red dogs"] * 4


def save_tiny_llama(folder: Path, template: str | None = TEMPLATE, positions: int = 96) -> Path:
    """Writes a Llama of a few thousand random weights with a tokenizer trained here."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    specials = ["<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    if template is not None:
        fast.chat_template = template
    fast.save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=positions,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def base_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a chat template."""
    pytest.importorskip("transformers")
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "base-llama", template=None)


@pytest.fixture(scope="session")
def roomy_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama that can read a whole prompt; what it writes is noise."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "roomy-llama"
    return save_tiny_llama(folder, positions=4096)
