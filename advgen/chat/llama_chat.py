"""A chat model in this process: any causal language model with a chat template."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
)

from advgen.chat.protocol import ChatOptions, Message, Reply
from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.hub import folder_digest, hub_fault

DTYPES = ("auto", "float32", "bfloat16", "float16")
QUANTIZATIONS = ("none", "int8", "int4")
_END_OF_TURN = ("<|eot_id|>", "<|im_end|>", "<end_of_turn>")
_SEEDS = 1 << 63
_MAIN = "main"
_LOADING = (OSError, ValueError, ImportError, RuntimeError, SafetensorError)


class LlamaChat:
    """A model and its tokenizer.

    Sampling takes place in a copy of the random state, so that nobody else's numbers change, and
    the same seed on the same machine gives the same text.

    Args:
        target: Hugging Face id, after which `@REVISION` may stand, or local folder.
        options: `device`, `dtype` and `quantization` are used.

    Raises:
        ConfigError: If `dtype` or `quantization` is not known, or a GPU or package is missing.
        ModelError: If the model is not there, its licence is not accepted, it does not fit, or it
            has no chat template.
    """

    def __init__(self, target: str, options: ChatOptions) -> None:
        if options.dtype not in DTYPES:
            raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}; got '{options.dtype}'")
        quantization = _quantization(options)
        folder = Path(target).expanduser()
        _check_folder(target, folder)
        source, _, revision = target.partition("@")
        if folder.is_dir():
            source, revision = str(folder), ""
        with _faults_of(target):
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source, revision=revision or _MAIN)
            if not self._tokenizer.chat_template:
                raise ModelError(
                    f"'{target}' has no chat template; use an instruction-tuned model, such as one "
                    "whose name ends in -Instruct"
                )
            self._model: Any = _load_whole(source, revision or _MAIN, options, quantization)
        self._model.eval()
        self.name = f"llama:{target}"
        commit = getattr(self._model.config, "_commit_hash", None)
        self.revision = str(commit) if commit else folder_digest(folder)
        self._ends = _ends_of_turn(self._tokenizer, self._model)

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
        """See `ChatModel.complete`; the schema is not forced.

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
                    generation_config=self._generation(max_tokens, temperature, top_p),
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
        gc.collect()
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

    def _generation(
        self, max_tokens: int, temperature: float | None, top_p: float | None
    ) -> GenerationConfig:
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
        if top_p is not None and config.do_sample:
            config.update(top_p=top_p)
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


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block torch draws from `seed`; afterwards it goes on as if nothing had been."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed % _SEEDS)
        yield


def _quantization(options: ChatOptions) -> BitsAndBytesConfig | None:
    """How weights are kept in fewer bits; refused before anything is fetched."""
    bits = options.quantization
    if bits not in QUANTIZATIONS:
        raise ConfigError(f"quantization must be one of {', '.join(QUANTIZATIONS)}; got '{bits}'")
    if bits == "none":
        return None
    if find_spec("bitsandbytes") is None:
        raise ConfigError(f"quantization '{bits}' needs a package: pip install bitsandbytes")
    if options.device == "cpu" or not torch.cuda.is_available():
        raise ConfigError(
            f"quantization '{bits}' needs a CUDA GPU; use one, or quantization 'none' with a "
            "smaller model"
        )
    if bits == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    compute = torch.bfloat16 if options.dtype == "auto" else getattr(torch, options.dtype)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
    )


def _load_whole(
    source: str, revision: str, options: ChatOptions, quantization: BitsAndBytesConfig | None
) -> Any:
    """The model; one whose checkpoint lacks weights would only babble, and is refused."""
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        source,
        revision=revision,
        dtype=options.dtype,
        device_map=options.device,
        quantization_config=quantization,
        output_loading_info=True,
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
    elif (
        target.startswith((".", "~", "/"))
        or target.partition("@")[0].count("/") > 1
        or folder.is_absolute()
    ):
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
        raise hub_fault(target, error) from error
