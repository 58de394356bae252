"""The options of a synthesizer, checked: names, types, and where its models are drawn."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from advgen.errors import ConfigError
from advgen.registry import unknown_name

DTYPES = ("auto", "float32", "float16", "bfloat16")
OFFLOAD = ("auto", "none", "model")
_Options = TypeVar("_Options", bound="PipelineOptions")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PipelineOptions:
    """What every synthesizer on diffusers takes.

    Attributes:
        dtype: Number format of the weights; `auto` is the model's usual one on an accelerator and
            `float32` on a CPU.
        device: Torch device, or `auto`: the accelerator of this process, else the CPU.
        offload: `none` keeps all weights on the device, `model` only those that are at work (a few
            seconds slower per batch), `auto` decides by the device's memory.
        variant: Of the weight files: `fp16`, empty for the plain ones, or `auto`.
        negative_prompt: What not to draw.
    """

    dtype: str = "auto"
    device: str = "auto"
    offload: str = "auto"
    variant: str = "auto"
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        """Check the values."""
        one_of("dtype", self.dtype, DTYPES)
        one_of("offload", self.offload, OFFLOAD)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DeepFloydOptions(PipelineOptions):
    """How DeepFloyd IF is drawn with; there is none to switch its safety checker off.

    Attributes:
        stage1: Hugging Face id (`@REVISION` may follow) or folder of the first stage (64 pixels).
        stage2: Of the second stage (256 pixels).
        stage3: Of the upscaler to four times that; empty for none.
        steps1: Denoising steps of the first stage.
        steps2: Of the second stage.
        steps3: Of the upscaler.
        guidance1: Guidance scale of the first stage.
        guidance2: Of the second stage.
        guidance3: Of the upscaler.
        noise_level2: Noise put on the first stage's image before the second one draws.
        noise_level: Noise put on the second stage's image before the upscaler draws.
    """

    stage1: str = "DeepFloyd/IF-I-XL-v1.0"
    stage2: str = "DeepFloyd/IF-II-L-v1.0"
    stage3: str = ""
    steps1: int = 100
    steps2: int = 50
    steps3: int = 75
    guidance1: float = 7.0
    guidance2: float = 4.0
    guidance3: float = 9.0
    noise_level2: int = 250
    noise_level: int = 100

    def __post_init__(self) -> None:
        """Check the values."""
        # super() does not work here: slots=True makes the class anew.
        PipelineOptions.__post_init__(self)
        for name in ("steps1", "steps2", "steps3"):
            at_least(name, getattr(self, name), 1)
        for name in ("guidance1", "guidance2", "guidance3", "noise_level2", "noise_level"):
            at_least(name, getattr(self, name), 0)
        if not (self.stage1 and self.stage2):
            raise ConfigError("draw.options.stage1 and stage2 must each name a model or a folder")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DiffusersOptions(PipelineOptions):
    """How any text-to-image pipeline is drawn with; a preset gives what is not said here.

    Attributes:
        preset: Name of a model with its settings, see `presets.toml`.
        model: Hugging Face id (`@REVISION` may follow) or folder; with a preset a copy of its
            model.
        licence: Of the images; that of the preset, else `unknown`.
        steps: Denoising steps; the pipeline's own number if not given.
        guidance: Guidance scale; the pipeline's own if not given.
        size: Side in pixels that the model was trained for.
        call: Further arguments of the pipeline's call.
    """

    preset: str = ""
    model: str = ""
    licence: str = "unknown"
    steps: int | None = None
    guidance: float | None = None
    size: int | None = None
    call: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        PipelineOptions.__post_init__(self)
        if not self.model:
            raise ConfigError("the synthesizer 'diffusers' needs draw.options.preset or .model")
        if self.steps is not None:
            at_least("steps", self.steps, 1)
        if self.guidance is not None:
            at_least("guidance", self.guidance, 0)


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Check that an option has one of the known values.

    Raises:
        ConfigError: If it has another one.
    """
    if value not in known:
        choices = ", ".join(known)
        raise ConfigError(f"draw.options.{name} is '{value}'; choose one of {choices}")


def at_least(name: str, value: float, least: float) -> None:
    """Check that a number is not below `least`.

    Raises:
        ConfigError: If it is.
    """
    if not value >= least:
        raise ConfigError(f"draw.options.{name} must be at least {least:g}, got {value}")


def read_options(kind: type[_Options], options: Mapping[str, Any]) -> _Options:
    """Options as they stand in a config, as a record.

    Args:
        kind: Record of the options; its fields are the known names.
        options: Name -> plain value; a whole number will do for a float.

    Raises:
        ConfigError: If a name is unknown or a value is of the wrong type or out of its range.
    """
    hints = typing.get_type_hints(kind)
    for name, value in options.items():
        if name not in hints:
            raise ConfigError(unknown_name("setting of draw.options", name, sorted(hints)))
        if not _fits(value, hints[name]):
            wanted = getattr(hints[name], "__name__", str(hints[name]))
            raise ConfigError(f"draw.options.{name} must be of type {wanted}, got {value!r}")
    return kind(**options)


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    if origin is types.UnionType:
        return any(_fits(value, choice) for choice in typing.get_args(hint))
    if origin is float:
        return type(value) in (int, float)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    return type(value) is origin
