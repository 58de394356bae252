"""What a segmentation method is, and what it is made from."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from advgen import registry
from advgen.errors import ConfigError
from advgen.lens import NeuronDirections
from advgen.models import DEFAULT_TEMPLATES, ClipModel

KIND = "segmenter"

_EXAMPLES = {int: "[8, 9, 10]", str: '["cat", "deer"]'}


@runtime_checkable
class Segmenter(Protocol):
    """A way to say where in an image a class is."""

    def heatmaps(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image row column"]:
        """One value per patch: the higher, the more the method sees the class there.

        Args:
            pixels: A small batch of preprocessed images.
            classes: Unit text embedding of each image's class; methods that do not look at the
                class (raw attention, rollout) leave it unread.

        Returns:
            Finite float32 values on the CPU, not scaled: the metrics take min and max per image.
            What an image gets does not depend on the others of its batch.
        """
        ...


@dataclass(frozen=True, slots=True)
class SegmenterInputs:
    """What a method may need.

    Attributes:
        clip: The model.
        directions: Gives the neuron directions over D of some layers, computed or from the store
            when first asked; only methods that look at neurons ask.
        templates: Prompts of the classes, for methods that set a class against others.
    """

    clip: ClipModel
    directions: Callable[[Sequence[int]], Mapping[int, NeuronDirections]]
    templates: tuple[str, ...] = DEFAULT_TEMPLATES


def open_segmenter(name: str, inputs: SegmenterInputs, /, **options: Any) -> Segmenter:
    """Make a method by its registered name.

    Args:
        name: Such as ``"second-order"`` or ``"rollout"``.
        inputs: What it is made from.
        options: Keyword arguments of the method, all with defaults.

    Raises:
        ConfigError: If there is no such method, or it does not take an option or its value.
        ModelError: If the method cannot read this kind of model.
    """
    make = registry.resolve(KIND, name)
    try:
        inspect.signature(make).bind(inputs, **options)
    except TypeError as error:
        raise ConfigError(f"the {KIND} '{name}' does not take these options: {error}") from error
    hints = typing.get_type_hints(make.__init__ if isinstance(make, type) else make)
    for option, value in options.items():
        if not _fits(value, hint := hints.get(option, Any)):
            raise ConfigError(f"{name}: {option} must be {_called(hint)}; got {value!r}")
        if type(value) is int and float in (hint, *typing.get_args(hint)):
            options[option] = float(value)
    return make(inputs, **options)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type of a keyword; True is no number, a text is no list."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return value in inner
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, choice) for choice in inner)
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_fits(entry, inner[0]) for entry in value)
    return type(value) in ((int, float) if hint is float else (hint,))


def _called(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(inner)}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_called(choice) for choice in inner if choice is not type(None))
    if origin is Sequence:
        return f"a list such as {_EXAMPLES[inner[0]]}"
    return {int: "a whole number", float: "a number", bool: "true or false"}[hint]
