"""Any text-to-image pipeline of diffusers, by preset or by model."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.generation.protocols import Drawn, DrawRequest
from advgen.generation.synthesizers.loading import (
    chosen_device,
    chosen_dtype,
    chosen_variant,
    free_memory,
    load_index,
    load_pipeline,
    load_tokenizer,
    memory_faults,
    offloaded,
    pinned_source,
    pipeline_kind,
    place,
)
from advgen.generation.synthesizers.pictures import (
    TOO_LONG,
    Checked,
    checked,
    generators,
    sized,
    to_image,
)
from advgen.generation.synthesizers.presets import diffusers_options, usual_dtype
from advgen.registry import unknown_name

_OURS = ("prompt", "height", "width", "generator", "output_type", "num_images_per_prompt")
_OURS += ("num_inference_steps", "guidance_scale", "negative_prompt", "return_dict")
_LENGTH = "max_sequence_length"
_ENDLESS = 1_000_000


class DiffusersSynthesizer:
    """Draws with a pipeline that `AutoPipelineForText2Image` knows.

    A pipeline's safety checker, where it has one, stays on: there is no option against it.

    Args:
        options: Fields of `DiffusersOptions`.

    Raises:
        ConfigError: If an option or a preset is unknown, or the model is a DeepFloyd IF.
        ModelError: If the model is not there.
    """

    name = "diffusers"

    def __init__(self, **options: Any) -> None:
        self._options = diffusers_options(options)
        _refuse_if(self._options.model.rpartition("/")[2])
        for name in self._options.call:
            if name in _OURS:
                raise ConfigError(f"draw.options.call must not hold '{name}': it is set elsewhere")
        self._source = pinned_source(self._options.model)
        self.name = f"diffusers:{self._options.preset or self._options.model}"
        self.revision = self._source.revision
        self.licence = self._options.licence
        self.native_size = self._options.size
        self._index: dict[str, Any] = {}
        self._readers: list[tuple[Any, int]] = []
        self._pipeline: Any = None
        self._placement: dict[str, str] = {}
        if self._source.local:
            self._known_index()

    def prompt_fault(self, prompt: str) -> str | None:
        """`too_many_tokens` if no text encoder reads the sentence whole; loads tokenizers only.

        FLUX and Stable Diffusion 3 give a sentence to CLIP (77 tokens) and to T5 (256 or 512): that
        CLIP's copy is cut off there is as their makers meant it, and no fault. Words that a
        pipeline wraps around the sentence are not counted.

        Raises:
            ModelError: If a tokenizer cannot be loaded.
        """
        if not self._readers:
            self._readers = self._loaded_readers()
        fits = [len(reader(prompt).input_ids) <= most for reader, most in self._readers]
        return None if any(fits) or not fits else TOO_LONG

    def draw(self, requests: Sequence[DrawRequest]) -> list[Drawn]:
        """See `Synthesizer.draw`; the requests are of one size.

        Raises:
            ConfigError: If the pipeline cannot draw that size or does not know an option.
            GenerationError: If a sentence is longer than what the model reads.
            ModelError: If it cannot be loaded, or the device's memory does not suffice.
        """
        if not requests:
            return []
        sizes = {request.size for request in requests}
        if len(sizes) != 1:
            raise ValueError(f"expected requests of one size; got {sorted(sizes)}")
        for request in requests:
            if fault := self.prompt_fault(request.prompt):
                raise GenerationError(f"{self.name} cannot draw '{request.prompt}': {fault}")
        with memory_faults(self.name), np.errstate(invalid="ignore"):
            if self._pipeline is None:
                self._pipeline = self._loaded()
            arguments = self._arguments(requests, sizes.pop())
            images = self._checked(self._pipeline(**arguments), len(requests))
        return [
            self._drawn(request, image, len(requests))
            for request, image in zip(requests, images, strict=True)
        ]

    def close(self) -> None:
        """Let go of the weights; the next `draw` loads them again."""
        self._pipeline = None
        free_memory()

    def _loaded(self) -> Any:
        self._known_index()
        device = chosen_device(self._options)
        dtype = chosen_dtype(self._options, device, usual_dtype(self._options))
        pipeline = load_pipeline(
            pipeline_kind("AutoPipelineForText2Image"),
            self._source,
            dtype=dtype,
            variant=chosen_variant(self._options, self._source, dtype, published=False),
        )
        self._placement = {"dtype": str(dtype).removeprefix("torch."), "device": device.type}
        return place(pipeline, device, offloaded(self._options, device))

    def _arguments(self, requests: Sequence[DrawRequest], size: int) -> dict[str, Any]:
        """What the pipeline is called with; an option that it does not take is refused."""
        taken = set(inspect.signature(self._pipeline.__call__).parameters)
        asked: dict[str, Any] = {
            "num_inference_steps": self._options.steps,
            "guidance_scale": self._options.guidance,
        }
        if self._options.negative_prompt:
            asked["negative_prompt"] = [self._options.negative_prompt] * len(requests)
        asked = {name: value for name, value in asked.items() if value is not None}
        asked |= self._options.call
        for name in asked:
            if name not in taken:
                kind = type(self._pipeline).__name__
                raise ConfigError(unknown_name(f"argument of {kind}", name, sorted(taken)))
        step = _size_step(self._pipeline)
        if size % step:
            raise ConfigError(
                f"{self.name} draws multiples of {step} pixels, not {size}: draw.size"
            )
        return {
            "prompt": [request.prompt for request in requests],
            "height": size,
            "width": size,
            "generator": generators(requests, 1),
            "output_type": "np",
            **asked,
        }

    def _checked(self, output: Any, count: int) -> list[Checked]:
        pixels = np.asarray(output.images)
        if pixels.ndim != 4 or len(pixels) != count or pixels.shape[-1] != 3:
            raise ModelError(f"{self.name} gave no RGB images; it cannot be used here")
        if not self._has_checker():
            return [Checked(image) for image in pixels]
        flagged = getattr(output, "nsfw_content_detected", None)
        return checked(pixels, flagged, [False] * count, f"the safety checker of {self.name}")

    def _drawn(self, request: DrawRequest, found: Checked, batch_size: int) -> Drawn:
        image, size = sized(to_image(found.pixels), request.size)
        details = {
            "model": self._source.name,
            "revision": self._source.revision,
            "pipeline": type(self._pipeline).__name__,
            "steps": self._options.steps,
            "guidance": self._options.guidance,
            "call": dict(self._options.call),
            "negative_prompt": self._options.negative_prompt,
            "nsfw_detected": found.flagged if self._has_checker() else None,
            "batch_size": batch_size,
            **self._placement,
            **size,
        }
        return Drawn(image=image, rejected=found.fault, details=details)

    def _has_checker(self) -> bool:
        return getattr(self._pipeline, "safety_checker", None) is not None

    def _known_index(self) -> dict[str, Any]:
        if not self._index:
            index = load_index(self._source)
            _refuse_if(str(index.get("_class_name")))
            self._index = index
        return self._index

    def _loaded_readers(self) -> list[tuple[Any, int]]:
        """The tokenizers, each with the tokens that its text encoder reads."""
        index = self._known_index()
        kind = pipeline_kind(str(index.get("_class_name")))
        parameter = inspect.signature(kind.__call__).parameters.get(_LENGTH) if kind else None
        longest = self._options.call.get(_LENGTH, parameter.default if parameter else _ENDLESS)
        found = []
        for part, entry in index.items():
            if "tokenizer" in part and isinstance(entry, list | tuple) and entry[0]:
                reader = load_tokenizer(index, part, self._source)
                clip = "CLIP" in str(entry[1]) or longest == _ENDLESS
                found.append((reader, reader.model_max_length if clip else longest))
        return found


def _refuse_if(name: str) -> None:
    if re.match(r"IF-I|IF\w*Pipeline$", name):
        raise ConfigError(
            "DeepFloyd IF is drawn by the synthesizer 'deepfloyd'; 'diffusers' would draw its "
            "first stage only, 64 pixels wide"
        )


def _size_step(pipeline: Any) -> int:
    """What the side of an image must be a multiple of, in pixels."""
    processor = getattr(pipeline, "image_processor", None)
    scale = getattr(getattr(processor, "config", None), "vae_scale_factor", None)
    scale = scale or getattr(pipeline, "vae_scale_factor", 8)
    patch = getattr(pipeline, "patch_size", 1)
    return int(scale) * (patch if isinstance(patch, int) else 1)
