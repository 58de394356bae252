"""What the real describers and synthesizers load, said without loading anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from advgen.catalogue import Need
from advgen.generation.synthesizers.options import DeepFloydOptions, read_options
from advgen.generation.synthesizers.presets import diffusers_options

LLAMA = "meta-llama/Meta-Llama-3-8B-Instruct"
_LLAMA_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja")
_READERS = ("tokenizer", "tokenizer_2", "tokenizer_3", "scheduler", "feature_extractor")
_MODELS = (
    "transformer",
    "unet",
    "vae",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "safety_checker",
)
_IF_SHARED = ("unet", "safety_checker")


def llama_needs(options: Mapping[str, Any]) -> list[Need]:
    """The language model of the describer `llama`; not Meta's own copy of the weights."""
    return [Need("describer", str(options.get("model", LLAMA)), _LLAMA_FILES)]


def deepfloyd_needs(options: Mapping[str, Any]) -> list[Need]:
    """The two or three pipelines of DeepFloyd IF; the T5 text encoder lies in the first one's.

    Raises:
        ConfigError: If an option is unknown or of the wrong type.
    """
    read = read_options(DeepFloydOptions, options)
    variant = read.variant
    if variant == "auto":
        variant = "fp16" if read.dtype in ("auto", "float16") else ""
    parts = (
        (read.stage1, (*_IF_SHARED, "text_encoder")),
        (read.stage2, _IF_SHARED),
        (read.stage3, ("unet", "vae", "text_encoder")),
    )
    scheduler = ("image_noising_scheduler", "low_res_scheduler", "watermarker")
    return [
        Need(f"image stage {number}", source, _files(models, variant, (*_READERS, *scheduler)))
        for number, (source, models) in enumerate(parts, start=1)
        if source
    ]


def diffusers_needs(options: Mapping[str, Any]) -> list[Need]:
    """The pipeline of the synthesizer `diffusers`, without copies in other formats beside it.

    Raises:
        ConfigError: If a preset or an option is not known.
    """
    read = diffusers_options(options)
    variant = "" if read.variant == "auto" else read.variant
    return [Need("image model", read.model, _files(_MODELS, variant, _READERS))]


def _files(models: tuple[str, ...], variant: str, small: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns of a pipeline's files: configs, what is small, and one set of weights per model."""
    weights = f"*.{variant}*.safetensors" if variant else "*.safetensors"
    patterns = ["model_index.json", *(f"{part}/*" for part in small)]
    for part in models:
        patterns += [f"{part}/*.json", f"{part}/{weights}"]
    return tuple(patterns)
