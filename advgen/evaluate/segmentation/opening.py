"""Methods made ready: a model's directions at hand when one asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from advgen.attack.directions import neuron_directions
from advgen.attack.progress import Progress
from advgen.config import LensConfig
from advgen.evaluate.segmentation.protocol import SegmenterInputs
from advgen.lens import NeuronDirections
from advgen.models import DEFAULT_TEMPLATES, ClipModel
from advgen.store import ArtifactStore


def segmenter_inputs(
    clip: ClipModel,
    lens: LensConfig,
    store: ArtifactStore,
    progress: Progress,
    templates: Sequence[str] = DEFAULT_TEMPLATES,
) -> SegmenterInputs:
    """What methods are made from.

    Args:
        clip: The model.
        lens: Image set and treatment of the directions; its layers are not read.
        store: Where directions are kept.
        progress: Told while they are computed.
        templates: Prompts of the classes.
    """
    return SegmenterInputs(clip, lens_directions(clip, lens, store, progress), tuple(templates))


def lens_directions(
    clip: ClipModel, lens: LensConfig, store: ArtifactStore, progress: Progress
) -> Callable[[Sequence[int]], Mapping[int, NeuronDirections]]:
    """Layers -> their neurons' directions, from the store or computed; each layer asked for once.

    Args:
        clip: The model.
        lens: Image set and treatment; its layers are not read.
        store: Where directions are kept.
        progress: Told while they are computed.
    """
    known: dict[int, NeuronDirections] = {}

    def directions(layers: Sequence[int]) -> Mapping[int, NeuronDirections]:
        missing = tuple(sorted(set(layers) - set(known)))
        if missing:
            config = replace(lens, layers=missing)
            known.update(neuron_directions(config, clip, store, progress))
        return {layer: known[layer] for layer in layers}

    return directions
