"""What a segmentation method is, and what it is made from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from advgen import registry
from advgen.errors import ConfigError
from advgen.lens import NeuronDirections
from advgen.models import ClipModel

KIND = "segmenter"


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
    """

    clip: ClipModel
    directions: Callable[[Sequence[int]], Mapping[int, NeuronDirections]]


def open_segmenter(name: str, inputs: SegmenterInputs, **options: Any) -> Segmenter:
    """Make a method by its registered name.

    Args:
        name: Such as ``"second-order"`` or ``"rollout"``.
        inputs: What it is made from.
        options: Keyword arguments of the method, all with defaults.

    Raises:
        ConfigError: If there is no such method or it does not take an option.
        ModelError: If the method cannot read this kind of model.
    """
    make = registry.resolve(KIND, name)
    try:
        inspect.signature(make).bind(inputs, **options)
    except TypeError as error:
        raise ConfigError(f"the {KIND} '{name}' does not take these options: {error}") from error
    return make(inputs, **options)
