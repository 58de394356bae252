"""DeepFloyd IF (paper Sec. 5.1): 64 pixels, 256 pixels, and an upscaler to 1024 if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from advgen.errors import GenerationError
from advgen.generation.protocols import Drawn, DrawRequest
from advgen.generation.synthesizers.loading import (
    free_memory,
    load_index,
    load_tokenizer,
    memory_faults,
    pinned_source,
)
from advgen.generation.synthesizers.options import DeepFloydOptions, read_options
from advgen.generation.synthesizers.pictures import (
    TOO_LONG,
    Checked,
    generators,
    sized,
    to_image,
)
from advgen.generation.synthesizers.stages import MAX_TOKENS, Stages

LICENCE = "DeepFloyd IF License Agreement (https://huggingface.co/DeepFloyd/IF-I-XL-v1.0)"
UPSCALER_LICENCE = (
    "CreativeML Open RAIL++-M (https://huggingface.co/stabilityai/stable-diffusion-x4-upscaler)"
)


class DeepFloydSynthesizer:
    """Draws with DeepFloyd IF as diffusers has it.

    Every stage's images are looked at by IF's safety checker, which also rejects images that carry
    somebody's watermark; it cannot be switched off. What it rejects it also blackens, and the later
    stages paint over the black, so the verdicts of all stages count. The attention is torch's own
    (SDPA): xformers fails on IF.

    Args:
        options: Fields of `DeepFloydOptions`.

    Raises:
        ConfigError: If an option is unknown or of the wrong type.
        ModelError: If a stage is not there.
    """

    name = "deepfloyd"

    def __init__(self, **options: Any) -> None:
        self._options = read_options(DeepFloydOptions, options)
        names = (self._options.stage1, self._options.stage2, self._options.stage3)
        self._sources = [pinned_source(source) for source in names if source]
        self.revision = "+".join(source.revision for source in self._sources)
        upscaled = len(self._sources) > 2
        self.licence = f"{LICENCE}; upscaled: {UPSCALER_LICENCE}" if upscaled else LICENCE
        self._stages: Stages | None = None
        self._tokenizers: list[tuple[Any, int]] = []

    def prompt_fault(self, prompt: str) -> str | None:
        """`too_many_tokens` if a stage would cut the sentence off; loads tokenizers only.

        Raises:
            ModelError: If a tokenizer cannot be loaded.
        """
        if not self._tokenizers:
            self._tokenizers = self._loaded_tokenizers()
        # This is what IF does to a sentence when captions are not cleaned; CLIP does it anyway.
        seen = prompt.lower().strip()
        long = (len(reader(seen).input_ids) > most for reader, most in self._tokenizers)
        return TOO_LONG if any(long) else None

    def draw(self, requests: Sequence[DrawRequest]) -> list[Drawn]:
        """See `Synthesizer.draw`.

        Raises:
            GenerationError: If a sentence is longer than what a stage reads.
            ModelError: If a stage cannot be loaded or the device's memory does not suffice.
        """
        if not requests:
            return []
        for request in requests:
            if fault := self.prompt_fault(request.prompt):
                raise GenerationError(f"{self.name} cannot draw '{request.prompt}': {fault}")
        with memory_faults(self.name), np.errstate(invalid="ignore"):
            if self._stages is None:
                self._stages = Stages(self._options, self._sources)
            stages = self._stages
            checks = self._through(stages, requests)
        images = stages.mark([to_image(last.pixels) for last in checks[-1]])
        shared = {
            "negative_prompt": self._options.negative_prompt,
            "batch_size": len(requests),
            "dtype": str(stages.dtype).removeprefix("torch."),
            "device": stages.device.type,
        }
        rows = zip(requests, images, zip(*checks, strict=True), strict=True)
        return [self._drawn(request, image, found, shared) for request, image, found in rows]

    def close(self) -> None:
        """Let go of the weights; the next `draw` loads them again."""
        self._stages = None
        free_memory()

    def _through(self, stages: Stages, requests: Sequence[DrawRequest]) -> list[list[Checked]]:
        prompts = [request.prompt for request in requests]
        embeds = stages.encode(prompts)
        checks = [stages.first(embeds, generators(requests, 1))]
        checks.append(stages.second(checks[-1], embeds, generators(requests, 2)))
        if len(self._sources) > 2:
            checks.append(stages.third(checks[-1], prompts, generators(requests, 3)))
        return checks

    def _drawn(
        self, request: DrawRequest, image: Any, found: Sequence[Checked], shared: dict[str, Any]
    ) -> Drawn:
        image, size = sized(image, request.size)
        stages = [self._stage(number, check) for number, check in enumerate(found)]
        return Drawn(
            image=image,
            rejected=next((check.fault for check in found if check.fault), None),
            details={"stages": stages, **shared, **size},
        )

    def _stage(self, number: int, check: Checked) -> dict[str, Any]:
        steps = (self._options.steps1, self._options.steps2, self._options.steps3)
        guidance = (self._options.guidance1, self._options.guidance2, self._options.guidance3)
        noise = (None, self._options.noise_level2, self._options.noise_level)
        details: dict[str, Any] = {
            "model": self._sources[number].name,
            "revision": self._sources[number].revision,
            "steps": steps[number],
            "guidance": float(guidance[number]),
            "nsfw_detected": check.flagged,
            "watermark_detected": check.watermarked,
        }
        return details if noise[number] is None else {**details, "noise_level": noise[number]}

    def _loaded_tokenizers(self) -> list[tuple[Any, int]]:
        """Readers of a sentence, and how many tokens each of them reads."""
        first = self._sources[0]
        found = [(load_tokenizer(load_index(first), "tokenizer", first), MAX_TOKENS)]
        for source in self._sources[2:]:
            clip = load_tokenizer(load_index(source), "tokenizer", source)
            found.append((clip, clip.model_max_length))
        return found
