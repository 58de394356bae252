"""The three pipelines of DeepFloyd IF: loaded together, called one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from advgen.errors import ModelError
from advgen.generation.synthesizers.loading import (
    Source,
    chosen_device,
    chosen_dtype,
    chosen_variant,
    load_index,
    load_pipeline,
    offloaded,
    pipeline_kind,
    place,
)
from advgen.generation.synthesizers.options import DeepFloydOptions
from advgen.generation.synthesizers.pictures import Checked, checked

MAX_TOKENS = 77
"""Tokens that IF's UNets were trained on; its text encoder cuts off what is longer."""
_KNOWN = 64


class Stages:
    """DeepFloyd IF in memory.

    Args:
        options: How to draw.
        sources: Two or three pinned pipelines.

    Raises:
        ModelError: If a pipeline cannot be loaded, is of another kind, or has no safety checker.
    """

    def __init__(self, options: DeepFloydOptions, sources: Sequence[Source]) -> None:
        self.options = options
        self.device = chosen_device(options)
        self.dtype = chosen_dtype(options, self.device, "float16")
        self._embeds: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._base = self._loaded(pipeline_kind("IFPipeline"), sources[0])
        self._larger = self._loaded(
            pipeline_kind("IFSuperResolutionPipeline"), sources[1], text_encoder=None
        )
        self._upscaler = self._upscaler_of(sources[2]) if len(sources) > 2 else None

    def encode(self, prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        """The text embeddings of both IF stages, made once per sentence.

        A sentence is encoded alone, so that its embedding does not depend on its neighbours, and
        kept for further batches. The embedding of the negative prompt is always passed on: a stage
        without a text encoder could not make it.

        Returns:
            `prompt_embeds` and `negative_prompt_embeds`, each [image, token, width].
        """
        if len(self._embeds) >= _KNOWN:
            self._embeds.clear()
        for prompt in dict.fromkeys(prompts):
            if prompt not in self._embeds:
                self._embeds[prompt] = self._encoded(prompt)
        text, negative = zip(*(self._embeds[prompt] for prompt in prompts), strict=True)
        return {
            "prompt_embeds": torch.cat(text).to(self.device),
            "negative_prompt_embeds": torch.cat(negative).to(self.device),
        }

    def first(self, embeds: dict[str, torch.Tensor], noise: list[torch.Generator]) -> list[Checked]:
        """Images of the first stage."""
        # Never "pt", which skips the safety checker; "np" is checked, and is not rounded to bytes.
        output = self._base(
            **embeds,
            generator=noise,
            num_inference_steps=self.options.steps1,
            guidance_scale=float(self.options.guidance1),
            clean_caption=False,
            output_type="np",
        )
        return _looked_at(output, "the safety checker of stage 1")

    def second(
        self,
        before: Sequence[Checked],
        embeds: dict[str, torch.Tensor],
        noise: list[torch.Generator],
    ) -> list[Checked]:
        """Images of the second stage, square, from those of the first."""
        side = self._larger.unet.config.sample_size
        low = torch.from_numpy(_stacked(before)).permute(0, 3, 1, 2) * 2 - 1
        output = self._larger(
            **embeds,
            image=low,
            height=side,
            width=side,
            generator=noise,
            num_inference_steps=self.options.steps2,
            guidance_scale=float(self.options.guidance2),
            noise_level=self.options.noise_level2,
            clean_caption=False,
            output_type="np",
        )
        return _looked_at(output, "the safety checker of stage 2")

    def third(
        self, before: Sequence[Checked], prompts: Sequence[str], noise: list[torch.Generator]
    ) -> list[Checked]:
        """Images of the upscaler, looked at by the second stage's safety checker.

        diffusers lets the upscaler call IF's checker itself, but the first image that is flagged
        there ends in a TypeError (a numpy array put into a tensor), so it is called here.
        """
        if self._upscaler is None:
            raise ValueError("expected three stages; got two")
        pixels = self._upscaler(
            prompt=list(prompts),
            image=_stacked(before),
            generator=noise,
            num_inference_steps=self.options.steps3,
            guidance_scale=float(self.options.guidance3),
            negative_prompt=[self.options.negative_prompt] * len(prompts),
            noise_level=self.options.noise_level,
            output_type="np",
        ).images
        pixels, flagged, marked = self._larger.run_safety_checker(pixels, self.device, self.dtype)
        self._larger.maybe_free_model_hooks()
        return checked(pixels, flagged, marked, "the safety checker after stage 3")

    def mark(self, images: list[Any]) -> list[Any]:
        """Put IF's watermark on finished images, as its licence wants it."""
        marker = self._larger.watermarker
        return images if marker is None else marker.apply_watermark(images)

    def _encoded(self, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
        text, negative = self._base.encode_prompt(
            prompt,
            do_classifier_free_guidance=True,
            negative_prompt=self.options.negative_prompt,
            clean_caption=False,
        )
        return text.cpu(), negative.cpu()

    def _loaded(self, kind: Any, source: Source, **parts: Any) -> Any:
        index = _expected(source, kind)
        if not all(_has(index, part) for part in ("safety_checker", "feature_extractor")):
            raise ModelError(
                f"'{source.name}' has no safety checker, without which DeepFloyd IF is not drawn; "
                "use the published repository, or a whole copy of it"
            )
        pipeline = self._pipeline(kind, source, **parts)
        if pipeline.safety_checker is None:
            raise ModelError(f"the safety checker of '{source.name}' was not loaded")
        return place(pipeline, self.device, offloaded(self.options, self.device))

    def _upscaler_of(self, source: Source) -> Any:
        _expected(source, pipeline_kind("StableDiffusionUpscalePipeline"))
        checks = dict.fromkeys(("safety_checker", "feature_extractor", "watermarker"))
        kind = pipeline_kind("StableDiffusionUpscalePipeline")
        pipeline = self._pipeline(kind, source, **checks)
        if self.dtype is torch.float16:  # in which this VAE overflows
            pipeline.vae.to(torch.float32)
        return place(pipeline, self.device, offloaded(self.options, self.device))

    def _pipeline(self, kind: Any, source: Source, **parts: Any) -> Any:
        variant = chosen_variant(self.options, source, self.dtype, published=True)
        return load_pipeline(kind, source, dtype=self.dtype, variant=variant, **parts)


def _expected(source: Source, kind: Any) -> dict[str, Any]:
    """The index of a pipeline that is of the class `kind`."""
    index = load_index(source)
    if index.get("_class_name") != kind.__name__:
        raise ModelError(
            f"'{source.name}' is of the class {index.get('_class_name')}; this stage needs "
            f"{kind.__name__}: correct draw.options"
        )
    return index


def _has(index: dict[str, Any], part: str) -> bool:
    return bool((index.get(part) or [None])[0])


def _stacked(images: Sequence[Checked]) -> np.ndarray:
    return np.stack([image.pixels for image in images])


def _looked_at(output: Any, what: str) -> list[Checked]:
    return checked(output.images, output.nsfw_detected, output.watermark_detected, what)
