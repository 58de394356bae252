"""A judge's model of this process: which one, loaded when it is first used, and let go of."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from advgen.errors import ConfigError, ModelError
from advgen.hub import hub_fault, is_folder, pinned_revision
from advgen.processes import local_device
from advgen.records import ClassPair, Verdict
from advgen.scoring.judges import Look

DTYPES = ("auto", "float32", "bfloat16", "float16")
_LOADING = (OSError, ValueError, ImportError, RuntimeError, KeyError, SafetensorError)


class Weights:
    """A transformers model with its processor, by Hugging Face id or local folder.

    Args:
        kind: Name of the auto class in transformers that knows such models.
        source: Hugging Face id, after which `@REVISION` may stand, or local folder.
        dtype: Number format: `auto` (the checkpoint's), `float32`, `bfloat16` or `float16`.
        device: Where the model is put; `auto` for this process's GPU where there is one.

    Raises:
        ConfigError: If `dtype` is not known.
    """

    def __init__(self, kind: str, source: str, dtype: str, device: str) -> None:
        if dtype not in DTYPES:
            raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}; got '{dtype}'")
        self._kind, self._dtype = kind, dtype
        self._device = local_device() if device == "auto" else device
        self.source = source
        self._loaded: tuple[Any, Any] | None = None

    @property
    def title(self) -> str:
        """What it is called in records: the id, or a folder's own name without the way to it."""
        folder = is_folder(self.source)
        return Path(self.source).expanduser().resolve().name if folder else self.source

    @cached_property
    def revision(self) -> str:
        """What identifies the files for good; see `hub.pinned_revision`."""
        if not is_folder(self.source) and self.source.startswith((".", "~", "/")):
            raise ModelError(f"there is no model folder {self.source}; correct the path")
        return pinned_revision(self.source)

    @property
    def device(self) -> str:
        """Where the model is put."""
        return self._device

    def parts(self) -> tuple[Any, Any]:
        """Model and processor, loaded at the first call.

        Raises:
            ModelError: If they cannot be had, do not belong together, or are not whole.
        """
        if self._loaded is None:
            with _faults_of(self.source):
                self._loaded = self._load()
        return self._loaded

    def close(self) -> None:
        """Free the weights."""
        self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load(self) -> tuple[Any, Any]:
        import transformers

        folder = is_folder(self.source)
        place = str(Path(self.source).expanduser()) if folder else self.source.partition("@")[0]
        pin: dict[str, Any] = {} if folder else {"revision": self.revision}
        processor = transformers.AutoProcessor.from_pretrained(place, **pin)
        model, found = getattr(transformers, self._kind).from_pretrained(
            place, dtype=self._dtype, output_loading_info=True, **pin
        )
        missing = sorted(found["missing_keys"])
        if missing:
            raise ModelError(
                f"the checkpoint of '{self.source}' is not whole: it lacks {missing[0]}, one of "
                f"{len(missing)}; download it again"
            )
        return model.to(self._device).eval(), processor


class WeightsJudge(ABC):
    """A judge whose model is in this process; it is asked about both classes of many images.

    Args:
        weights: The model.
        name: What the judge is called in verdicts.
    """

    def __init__(self, weights: Weights, name: str) -> None:
        self._weights, self.name = weights, name

    @abstractmethod
    def visible(self, looks: Sequence[Look]) -> Tensor:
        """How sure the model is that it sees the true and the target class, float64 [look, 2]."""

    def judge(self, image: Image.Image, truth: Mapping[str, Any], pair: ClassPair) -> Verdict:
        """See `Judge.judge`; the truth is not looked at."""
        return self.judge_many([Look(image, pair)])[0]

    def judge_many(self, looks: Sequence[Look]) -> list[Verdict]:
        """See `BatchJudge.judge_many`.

        Raises:
            GenerationError: If the model gives an answer that is none.
            ModelError: If the model cannot be loaded, is of another kind, cannot be asked, or
                memory does not suffice.
        """
        if not looks:
            return []
        with enough_memory(self.name):
            found = self.visible(looks).tolist()
        return [Verdict(self.name, present, 1 - target) for present, target in found]

    def close(self) -> None:
        """Free the weights."""
        self._weights.close()


@contextmanager
def enough_memory(name: str) -> Iterator[None]:
    """Say what to do when the accelerator's memory does not suffice."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{name} ran out of memory; use a smaller --batch-size, or a smaller model"
        ) from error


@contextmanager
def _faults_of(source: str) -> Iterator[None]:
    """Say in one line why a model could not be loaded."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(f"'{source}' does not fit on the device; use a smaller model") from error
    except _LOADING as error:
        raise hub_fault(source, error) from error
