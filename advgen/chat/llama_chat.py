"""A chat model in this process: any causal language model with a chat template."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import errors as hub
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from advgen.chat.protocol import ChatOptions, Message, Reply
from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.store import sha256_file

DTYPES = ("auto", "float32", "bfloat16", "float16")
_END_OF_TURN = ("<|eot_id|>", "<|im_end|>", "<end_of_turn>")
_SEEDS = 1 << 63
_LOADING = (OSError, ValueError, ImportError, RuntimeError, SafetensorError)


class LlamaChat:
    """A model and its tokenizer.

    Sampling takes place in a copy of the random state, so that nobody else's numbers change, and
    the same seed on the same machine gives the same text.

    Args:
        target: Hugging Face id or local folder.
        options: `device` and `dtype` are used.

    Raises:
        ConfigError: If `dtype` is not known.
        ModelError: If the model is not there, its licence is not accepted, it does not fit, or it
            has no chat template.
    """

    def __init__(self, target: str, options: ChatOptions) -> None:
        if options.dtype not in DTYPES:
            raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}; got '{options.dtype}'")
        folder = Path(target).expanduser()
        _check_folder(target, folder)
        source = str(folder) if folder.is_dir() else target
        with _faults_of(target):
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source)
            if not self._tokenizer.chat_template:
                raise ModelError(
                    f"'{target}' has no chat template; use an instruction-tuned model, such as one "
                    "whose name ends in -Instruct"
                )
            self._model: Any = _load_whole(source, options)
        self._model.eval()
        self.name = f"llama:{target}"
        commit = getattr(self._model.config, "_commit_hash", None)
        self.revision = str(commit) if commit else folder_revision(folder)
        self._ends = _ends_of_turn(self._tokenizer, self._model)

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float | None = None,
        seed: int = 0,
    ) -> Reply:
        """See `ChatModel.complete`.

        Raises:
            GenerationError: If the conversation is longer than what the model can read.
            ModelError: If the accelerator's memory does not suffice.
        """
        inputs = self._tokens(messages)
        read = inputs["input_ids"].shape[1]
        room = getattr(self._model.config, "max_position_embeddings", read + max_tokens) - read
        if room < 1:
            raise GenerationError(f"{self.name} cannot read a conversation of {read} tokens")
        max_tokens = min(max_tokens, room)
        with seeded(seed), torch.inference_mode():
            try:
                output = self._model.generate(
                    input_ids=inputs["input_ids"],
                    attention_mask=inputs["attention_mask"],
                    generation_config=self._generation(max_tokens, temperature),
                )
            except torch.OutOfMemoryError as error:
                raise ModelError(
                    f"{self.name} ran out of memory; ask for fewer texts, or use --dtype bfloat16 "
                    "or another device"
                ) from error
        written = output[0, read:].tolist()
        ended = bool(written) and written[-1] in self._ends
        return Reply(
            text=self._tokenizer.decode(written, skip_special_tokens=True).strip(),
            finish="stop" if ended or len(written) < max_tokens else "length",
            prompt_tokens=read,
            completion_tokens=len(written),
            model=self.name.removeprefix("llama:"),
        )

    def close(self) -> None:
        """Free the weights."""
        self._model = self._tokenizer = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _tokens(self, messages: Sequence[Message]) -> Any:
        """The conversation as tokens; templates without a system role get it with the question."""
        try:
            return self._templated(messages)
        except TemplateError:
            pass
        try:
            return self._templated(_without_system(messages))
        except TemplateError as error:
            raise ModelError(f"the chat template of {self.name} fails: {error}") from error

    def _templated(self, messages: Sequence[Message]) -> Any:
        return self._tokenizer.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in messages],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        ).to(self._model.device)

    def _generation(self, max_tokens: int, temperature: float | None) -> GenerationConfig:
        """The model's own sampling settings, with ours on top."""
        config = GenerationConfig.from_dict(self._model.generation_config.to_dict())
        config.update(
            max_new_tokens=max_tokens,
            max_length=None,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0],
        )
        if temperature == 0:
            config.update(do_sample=False, temperature=None, top_p=None, top_k=None)
        elif temperature is not None:
            config.update(do_sample=True, temperature=temperature)
        return config


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The same conversation with the system's words in front of the first question."""
    said = "\n\n".join(turn.content for turn in messages if turn.role == "system")
    turns = [turn for turn in messages if turn.role != "system"]
    if said and turns:
        turns[0] = Message(turns[0].role, f"{said}\n\n{turns[0].content}")
    return turns


def open_llama(target: str, options: ChatOptions) -> LlamaChat:
    """Load `ID_OR_FOLDER`; see `load_chat`."""
    return LlamaChat(target, options)


def folder_revision(folder: Path) -> str:
    """First 12 digits of the sha256 over names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()[:12]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block torch draws from `seed`; afterwards it goes on as if nothing had been."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed % _SEEDS)
        yield


def _load_whole(source: str, options: ChatOptions) -> Any:
    """The model; one whose checkpoint lacks weights would only babble, and is refused."""
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        source, dtype=options.dtype, device_map=options.device, output_loading_info=True
    )
    model, found = loaded
    missing = sorted(found["missing_keys"])
    if missing:
        raise ModelError(
            f"the checkpoint of '{source}' is not whole: it lacks {missing[0]}, one of "
            f"{len(missing)}; download it again"
        )
    return model


def _check_folder(target: str, folder: Path) -> None:
    """Refuse what is written like a path but leads to no model."""
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"the folder {target} holds no model: it has no config.json")
    elif target.startswith((".", "~", "/")) or target.count("/") > 1 or folder.is_absolute():
        raise ModelError(f"there is no model folder {target}; correct the path")


def _ends_of_turn(tokenizer: Any, model: Any) -> list[int]:
    """Tokens that end an answer: the model's, the tokenizer's, and the usual marks of a turn."""
    configured = model.generation_config.eos_token_id
    ends = list(configured) if isinstance(configured, list) else [configured]
    ends.append(tokenizer.eos_token_id)
    vocabulary = tokenizer.get_vocab()
    ends += [vocabulary.get(mark) for mark in _END_OF_TURN]
    found = list(dict.fromkeys(end for end in ends if end is not None))
    if not found:
        raise ModelError("the model has no token that ends an answer; use an instruction-tuned one")
    return found


@contextmanager
def _faults_of(target: str) -> Iterator[None]:
    """Say in one line why a model could not be loaded."""
    try:
        yield
    except _LOADING as error:
        raise _fault(target, error) from error


def _fault(target: str, error: Exception) -> ModelError:
    causes = list(_chain(error))
    page = f"https://huggingface.co/{target}"
    if any(isinstance(cause, hub.GatedRepoError) for cause in causes):
        return ModelError(
            f"'{target}' is given only to those who accept its licence; accept it at {page}, "
            "then run: hf auth login"
        )
    if any(isinstance(cause, hub.RepositoryNotFoundError) for cause in causes):
        return ModelError(
            f"there is no public model '{target}'; look at {page} (a private one needs: "
            "hf auth login)"
        )
    if any(isinstance(cause, hub.LocalEntryNotFoundError) for cause in causes):
        return ModelError(
            f"'{target}' is not on this machine and the network does not reach {page}; "
            "download it once, or give a local folder"
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ModelError(f"cannot load '{target}': {lines[0]}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
