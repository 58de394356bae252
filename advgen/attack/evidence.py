"""What is known of the attacked model before words are mined: directions, an encoded pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from advgen import registry
from advgen.attack.directions import (
    check_layers,
    indirect_neuron_directions,
    lens_images,
    neuron_directions,
)
from advgen.attack.progress import Progress
from advgen.config import AttackConfig
from advgen.errors import ConfigError, DataError
from advgen.imagesets import ChosenImages, ImageSet, class_labels, load_image_set
from advgen.imagesets.batches import PixelBatches
from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.mining import (
    USES_INDIRECT,
    USES_NEURONS,
    Evidence,
    TargetFilter,
    joined_block_lists,
    mean_sizes,
    open_encoder,
    packaged_block_list,
    read_block_list,
)
from advgen.models import ClipModel
from advgen.records import Neuron
from advgen.store import ArtifactStore
from advgen.text import encode_pool, load_pool, make_solver


def gather_evidence(
    config: AttackConfig, clip: ClipModel, store: ArtifactStore, progress: Progress
) -> Evidence:
    """What the config's methods and scores need: directions (stored ones if there are any), a pool.

    Raises:
        AdvgenError: See `check_evidence`.
        DataError: If there are no images of a true class where their effects are asked for.
    """
    check_evidence(config, clip)
    directions: dict[int, NeuronDirections] = {}
    if USES_NEURONS.intersection(config.methods):
        directions = neuron_directions(config.lens, clip, store, progress)
    sizes: dict[str, Float[Tensor, " neuron"]] = {}
    if config.mining.score == "activation" and directions:
        sizes = class_sizes(config, clip, directions, progress)
    others: dict[int, NeuronDirections] = {}
    if USES_INDIRECT.intersection(config.methods):
        others = indirect_neuron_directions(config, clip, store, progress)
    progress.stage(f"encoding the text pool {config.text.pool}")
    encoded = encode_pool(clip, load_pool(config.text.pool))
    for note in encoded.pool.notes:
        progress.note(f"text pool {config.text.pool}: {note}")
    empty = Evidence(
        neurons=[],
        directions=torch.empty(0, clip.embed_dim),
        encoded=encoded,
        solver=make_solver(),
        nonzeros=config.text.nonzeros,
        atoms=config.text.atoms,
        count=config.mining.neurons,
        choice=config.mining.choice,
        score=config.mining.score,
    )
    return replace(
        _with_neurons(empty, directions) if directions else empty,
        sizes=sizes,
        indirect=_with_neurons(empty, others) if others else None,
    )


def class_sizes(
    config: AttackConfig,
    clip: ClipModel,
    directions: Mapping[int, NeuronDirections],
    progress: Progress,
) -> dict[str, Float[Tensor, " neuron"]]:
    """By true class, how large the neurons' effects are on its images: see `Evidence.sizes`.

    Args:
        config: Names the pairs and the labelled image set.
        clip: The model.
        directions: Of the neurons.
        progress: Listener.

    Raises:
        DataError: If the set has no labels or no image of a true class; the message names the
            classes that it has.
    """
    images = load_image_set(config.mining.activation_images)
    numbers = {
        name: images_of_class(images, name)
        for name in dict.fromkeys(pair.true_class for pair in config.pairs)
    }
    lens = SecondOrderLens(clip, list(directions), treatment=config.lens.treatment)
    progress.stage(f"sizes of effects over {images.name}", sum(map(len, numbers.values())))
    sizes = {}
    for name, chosen in numbers.items():
        batches = PixelBatches(
            ChosenImages(images, chosen, name=f"{name} in {images.name}"),
            clip.preprocess,
            config.lens.batch_size,
        )
        sizes[name] = _sizes(lens, directions, batches, progress)
    return sizes


def images_of_class(images: ImageSet, name: str) -> list[int]:
    """Numbers of the images with a label, compared without regard to case.

    Raises:
        DataError: If the set has no labels or none of its images has this one.
    """
    labels = class_labels(images)
    plain = [" ".join(label.lower().split()) for label in images.classes]
    chosen = [number for number, label in enumerate(labels) if plain[label] == name]
    if not chosen:
        present = [images.classes[label] for label in sorted(set(labels))]
        raise DataError(
            f"{images.name} has no image of the class '{name}', whose effects "
            f"mining.score 'activation' needs; {registry.unknown_name('label', name, present)}"
        )
    return chosen


def target_filter(config: AttackConfig) -> TargetFilter:
    """Which words name a class.

    A drawn world knows its own nouns; elsewhere the packaged block list takes their place. The
    user's block list and the sentence encoder come on top.
    """
    synonyms: dict[str, tuple[str, ...]] = {}
    blocked: dict[str, tuple[str, ...]] = {}
    if config.draw.synthesizer in registry.names("synonyms"):
        synonyms = registry.resolve("synonyms", config.draw.synthesizer)()
    else:
        blocked = packaged_block_list()
    if config.mining.block:
        blocked = joined_block_lists(blocked, read_block_list(Path(config.mining.block)))
    return TargetFilter(
        synonyms=synonyms,
        blocked=blocked,
        encoder=open_encoder(config.mining.similarity),
        max_similarity=config.mining.max_similarity,
    )


def check_evidence(config: AttackConfig, clip: ClipModel) -> None:
    """Refuse what `gather_evidence` could not gather, before anything is computed.

    Raises:
        ConfigError: If a layer does not exist or has no later attention layer to act through, or
            `indirect` is asked for with a score that it has not.
        DataError: If the image set of the directions cannot be read or has only one image.
    """
    if config.mining.score == "activation" and USES_INDIRECT.intersection(config.methods):
        raise ConfigError(
            "the method indirect has no score 'activation'; leave it out or choose "
            "mining.score codes or projection"
        )
    if (USES_NEURONS | USES_INDIRECT).intersection(config.methods):
        check_layers(config.lens, clip)
        lens_images(config.lens)


def _with_neurons(evidence: Evidence, directions: Mapping[int, NeuronDirections]) -> Evidence:
    layers = sorted(directions)
    return replace(
        evidence,
        neurons=[
            Neuron(layer, index) for layer in layers for index in range(len(directions[layer]))
        ],
        directions=torch.cat([directions[layer].direction.float() for layer in layers]),
        explained=torch.cat([directions[layer].explained_variance.float() for layer in layers]),
    )


def _sizes(
    lens: SecondOrderLens,
    directions: Mapping[int, NeuronDirections],
    batches: PixelBatches,
    progress: Progress,
) -> Float[Tensor, " neuron"]:
    def pixels():
        for batch in batches:
            for item in batch.skipped:
                progress.note(f"skipped an unreadable image: {item.name} ({item.reason})")
            if batch.indices:
                yield batch.pixels
            progress.advance(len(batch.indices) + len(batch.skipped))

    found = mean_sizes(lens, directions, pixels())
    return torch.cat([found[layer] for layer in sorted(found)])
