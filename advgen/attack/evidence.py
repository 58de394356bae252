"""What is known of the attacked model before words are mined: directions, an encoded pool."""

from __future__ import annotations

from pathlib import Path

import torch

from advgen import registry
from advgen.attack.progress import Progress
from advgen.config import AttackConfig, LensConfig
from advgen.errors import ConfigError
from advgen.imagesets import load_image_set
from advgen.imagesets.batches import PixelBatches
from advgen.lens import Budget, NeuronDirections, directions_cached
from advgen.lens.collection import DEFAULT_BUDGET
from advgen.mining import USES_NEURONS, Evidence, TargetFilter, read_block_list
from advgen.models import ClipModel
from advgen.processes import current_processes
from advgen.records import Neuron
from advgen.store import ArtifactStore
from advgen.text import encode_pool, load_pool, make_solver


def gather_evidence(
    config: AttackConfig, clip: ClipModel, store: ArtifactStore, progress: Progress
) -> Evidence:
    """Directions of all neurons of the chosen layers (stored ones if there are any) and the pool.

    Raises:
        ConfigError: If a layer does not exist or has no later attention layer to act through.
    """
    directions: dict[int, NeuronDirections] = {}
    if USES_NEURONS.intersection(config.methods):
        directions = neuron_directions(config.lens, clip, store, progress)
    progress.stage(f"encoding the text pool {config.text.pool}")
    encoded = encode_pool(clip, load_pool(config.text.pool))
    for note in encoded.pool.notes:
        progress.note(f"text pool {config.text.pool}: {note}")
    layers = sorted(directions)
    rows = [directions[layer].direction.float() for layer in layers]
    return Evidence(
        neurons=[
            Neuron(layer, index)
            for layer in layers
            for index in range(len(directions[layer].direction))
        ],
        directions=torch.cat([torch.empty(0, clip.embed_dim), *rows]),
        encoded=encoded,
        solver=make_solver(),
        nonzeros=config.text.nonzeros,
        atoms=config.text.atoms,
        count=config.mining.neurons,
    )


def neuron_directions(
    config: LensConfig,
    clip: ClipModel,
    store: ArtifactStore,
    progress: Progress,
    *,
    budget: Budget = DEFAULT_BUDGET,
    workers: int = 0,
) -> dict[int, NeuronDirections]:
    """Second-order directions of every neuron of the configured layers.

    Args:
        config: Layers, image set, treatment.
        clip: The model.
        store: Where directions are kept.
        progress: Listener.
        budget: Bytes for the coefficients of the pass.
        workers: Processes that read images ahead.

    Raises:
        ConfigError: If a layer does not exist or has no later attention layer to act through.
    """
    last = clip.vision.layers - 2
    wrong = [layer for layer in config.layers if layer > last]
    if wrong:
        raise ConfigError(
            f"layer {wrong[0]} of {clip.name} has no later attention layer to act through; "
            f"choose layers from 0 to {last}"
        )
    images = load_image_set(config.images)
    progress.stage(f"neuron directions of {clip.name} over {images.name}", len(images))
    return directions_cached(
        store,
        clip,
        PixelBatches(images, clip.preprocess, config.batch_size, workers=workers),
        layers=config.layers,
        treatment=config.treatment,
        top_images=min(config.top_images, len(images)),
        budget=budget,
        processes=current_processes(),
        note=progress.note,
        advance=progress.advance,
    )


def target_filter(config: AttackConfig) -> TargetFilter:
    """Which words name a class: what the synthesizer's world knows, and the user's block list."""
    synonyms: dict[str, tuple[str, ...]] = {}
    if config.draw.synthesizer in registry.names("synonyms"):
        synonyms = registry.resolve("synonyms", config.draw.synthesizer)()
    blocked = read_block_list(Path(config.mining.block)) if config.mining.block else {}
    return TargetFilter(synonyms=synonyms, blocked=blocked)
