"""Loading pipelines: which revision and files, on which device, and what can go wrong."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.pipelines.deepfloyd_if.safety_checker import IFSafetyChecker
from diffusers.utils import logging as diffusers_log
from transformers.utils import logging as transformers_log

from advgen import hub
from advgen.errors import ModelError
from advgen.generation.synthesizers.options import PipelineOptions
from advgen.processes import local_device

_ROOMY = 38 * 2**30
"""Bytes of a GPU that holds all stages of DeepFloyd IF, or FLUX, in half precision at once."""
_TIED = "all_tied_weights_keys"


@dataclass(frozen=True, slots=True)
class Source:
    """A pipeline whose files are pinned.

    Attributes:
        name: Hugging Face id, or folder.
        revision: Commit, or a hash of the folder's files.
    """

    name: str
    revision: str

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return hub.is_folder(self.name)

    @property
    def pinned(self) -> dict[str, str]:
        """What `from_pretrained` is told: the commit; of a folder nothing."""
        return {} if self.local else {"revision": self.revision}


def pinned_source(source: str) -> Source:
    """The pipeline behind a Hugging Face id (`@REVISION` may follow) or a folder.

    Raises:
        ModelError: If there is no such model, or neither the Hub nor the cache can say.
    """
    if hub.is_folder(source):
        folder = Path(source).expanduser()
        if not (folder / "model_index.json").is_file():
            raise ModelError(
                f"the folder {source} holds no pipeline of diffusers: it has no model_index.json"
            )
        return Source(str(folder), hub.pinned_revision(str(folder)))
    if not source or source.startswith((".", "~", "/")) or source.count("/") > 1:
        raise ModelError(f"there is no model folder '{source}'; correct the path")
    name, _, revision = source.partition("@")
    return Source(name, hub.pinned_revision(name, revision or None))


def pipeline_kind(name: str) -> Any:
    """A class of diffusers by name, or None; what its modules warn of when imported is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(diffusers, name, None)


def chosen_device(options: PipelineOptions) -> torch.device:
    """The device that the options ask for.

    Raises:
        ModelError: If torch knows no such device, or this machine has none.
    """
    name = local_device() if options.device == "auto" else options.device
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"the device '{name}' cannot be used ({str(error).partition(chr(10))[0]}); set "
            "draw.options.device to 'auto' or 'cpu'"
        ) from error
    return device


def chosen_dtype(options: PipelineOptions, device: torch.device, usual: str) -> torch.dtype:
    """The number format that the options ask for; `usual` is the model's own on an accelerator."""
    automatic = "float32" if device.type == "cpu" else usual
    name = automatic if options.dtype == "auto" else options.dtype
    return getattr(torch, name)


def chosen_variant(
    options: PipelineOptions, source: Source, dtype: torch.dtype, *, published: bool
) -> str | None:
    """Which weight files are read.

    Args:
        options: `variant` is used; `auto` reads half-precision files for half-precision numbers.
        source: Where they are; of a folder its files decide.
        dtype: The number format they are read into.
        published: Whether a Hugging Face id is known to have files in half precision.
    """
    if options.variant != "auto":
        return options.variant or None
    if dtype is not torch.float16:
        return None
    if source.local:
        published = any(Path(source.name).rglob("*.fp16*.safetensors"))
    return "fp16" if published else None


def offloaded(options: PipelineOptions, device: torch.device) -> bool:
    """Whether weights wait in main memory until they are needed."""
    if options.offload != "auto":
        return options.offload == "model"
    if device.type != "cuda":
        return False
    return torch.cuda.get_device_properties(device).total_memory < _ROOMY


def load_pipeline(kind: Any, source: Source, **settings: Any) -> Any:
    """A pipeline in main memory, its progress bars off.

    Args:
        kind: Class of diffusers with `from_pretrained`.
        source: Where it is.
        settings: Further arguments of `from_pretrained`.

    Raises:
        ModelError: If it cannot be loaded; the message says what to do.
    """
    with loading_faults(source.name), checker_loadable(), _quiet():
        pipeline = kind.from_pretrained(source.name, **source.pinned, **settings)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_index(source: Source) -> dict[str, Any]:
    """What `model_index.json` says: the pipeline's class and its parts; no weights are fetched.

    Raises:
        ModelError: If it cannot be read.
    """
    with loading_faults(source.name):
        reader: Any = diffusers
        return dict(reader.DiffusionPipeline.load_config(source.name, **source.pinned))


def load_tokenizer(index: dict[str, Any], part: str, source: Source) -> Any:
    """One of a pipeline's tokenizers, without the rest of it.

    Args:
        index: What `load_index` gave.
        part: `tokenizer`, `tokenizer_2` ...
        source: Where the pipeline is.

    Raises:
        ModelError: If it cannot be read.
    """
    with loading_faults(source.name):
        kind = getattr(transformers, str(index[part][1]), transformers.AutoTokenizer)
        return kind.from_pretrained(source.name, subfolder=part, **source.pinned)


def place(pipeline: Any, device: torch.device, offload: bool) -> Any:
    """Bring a pipeline to its device, whole or part by part as each is needed."""
    if offload:
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return pipeline


def free_memory() -> None:
    """Give back what dropped pipelines held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def checker_loadable() -> Iterator[None]:
    """Within the block DeepFloyd's safety checker can be loaded.

    transformers 5 reads `all_tied_weights_keys` of every model that it loads; a model gets it from
    `post_init()`, which IFSafetyChecker (diffusers 0.42) never calls, so that loading ends in an
    AttributeError. The checker ties no weights: an empty table is the truth. Nothing else of it
    is touched, and classes that know the attribute are left alone.
    """
    if hasattr(IFSafetyChecker, _TIED):
        yield
        return
    setattr(IFSafetyChecker, _TIED, {})
    try:
        yield
    finally:
        delattr(IFSafetyChecker, _TIED)


@contextmanager
def loading_faults(source: str) -> Iterator[None]:
    """Say in one line why a model could not be loaded."""
    with memory_faults(source):
        try:
            yield
        except (ModelError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # damaged files and lost networks raise nearly anything
            raise _fault(source, error) from error


@contextmanager
def memory_faults(name: str) -> Iterator[None]:
    """Say what to do when the device's memory does not suffice."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{name} ran out of memory on the device; set a smaller draw.batch_size, or "
            "draw.options.offload to 'model'"
        ) from error


def _fault(source: str, error: Exception) -> ModelError:
    if "tiktoken" in str(error) or "sentencepiece" in str(error).lower():
        return ModelError(
            f"the tokenizer of '{source}' needs two packages more: "
            "pip install sentencepiece protobuf"
        )
    return hub.hub_fault(source, error)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars while loading; the attack shows its own progress."""
    bars = [log for log in (diffusers_log, transformers_log) if log.is_progress_bar_enabled()]
    for log in bars:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in bars:
            log.enable_progress_bar()
