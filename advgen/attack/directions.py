"""Directions of an attacked model's neurons, stored or computed."""

from __future__ import annotations

from advgen.attack.progress import Progress
from advgen.config import AttackConfig, LensConfig
from advgen.errors import ConfigError, DataError
from advgen.imagesets import ImageSet, load_image_set
from advgen.imagesets.batches import PixelBatches
from advgen.imagesets.chosen import choose_images
from advgen.lens import Budget, NeuronDirections, directions_cached
from advgen.lens.cache import indirect_directions_cached
from advgen.lens.collection import DEFAULT_BUDGET
from advgen.models import ClipModel
from advgen.processes import current_processes
from advgen.store import ArtifactStore


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
        DataError: If there is only one image.
    """
    check_layers(config, clip)
    images = lens_images(config)
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


def indirect_neuron_directions(
    config: AttackConfig, clip: ClipModel, store: ArtifactStore, progress: Progress
) -> dict[int, NeuronDirections]:
    """Directions of the indirect effects of every neuron of the configured layers.

    They are taken over the first `mining.indirect_images` images of the lens's set: each costs a
    partial forward pass per neuron.

    Raises:
        ConfigError: If a layer does not exist or has no later attention layer to act through.
        DataError: If there is only one image.
    """
    check_layers(config.lens, clip)
    images = choose_images(lens_images(config.lens), limit=config.mining.indirect_images)
    neurons = len(config.lens.layers) * clip.vision.neurons
    progress.stage(f"indirect effects of {clip.name} over {len(images)} images", neurons)
    return indirect_directions_cached(
        store,
        clip,
        PixelBatches(images, clip.preprocess, config.lens.batch_size),
        layers=sorted(config.lens.layers),
        top_images=min(config.lens.top_images, len(images)),
        processes=current_processes(),
        note=progress.note,
        advance=progress.advance,
    )


def lens_images(config: LensConfig) -> ImageSet:
    """The image set of the directions, which needs more than one image.

    Raises:
        DataError: If it cannot be read or has only one.
    """
    images = load_image_set(config.images)
    if len(images) < 2:
        raise DataError(
            f"{config.images} has only one image, and directions are what differs between images; "
            "choose a set of some hundreds or more, as sandbox:2000"
        )
    return images


def check_layers(config: LensConfig, clip: ClipModel) -> None:
    """Refuse layers that have no second-order effects.

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
