"""A model with its image sets, classifier and neuron directions, opened once for experiments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.attack.progress import Progress
from advgen.config import Treatment
from advgen.errors import ConfigError
from advgen.experiments.settings import ExperimentConfig
from advgen.imagesets import class_labels, load_image_set
from advgen.imagesets.batches import PixelBatches
from advgen.lens import (
    Budget,
    Collection,
    NeuronDirections,
    SecondOrderLens,
    classification_accuracy,
    collect_images,
    directions_cached,
)
from advgen.lens.cache import preprocess_fingerprint
from advgen.lens.scratch import scratch_folder
from advgen.models import DEFAULT_TEMPLATES, ClipModel, encode_classes, load_clip
from advgen.processes import current_processes
from advgen.store import ArtifactStore

BUDGET = Budget(memory=1 << 30)


@dataclass(frozen=True, eq=False)
class Subject:
    """What an experiment looks at.

    Attributes:
        config: What was asked for.
        clip: The model.
        evaluated: The labelled images, by batch.
        summarised: The image set D, by batch.
        store: Where directions are kept.
        progress: Who is told.
    """

    config: ExperimentConfig
    clip: ClipModel
    evaluated: PixelBatches
    summarised: PixelBatches
    store: ArtifactStore
    progress: Progress

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers asked for; all that have a later attention layer by default.

        Raises:
            ConfigError: If a layer has none.
        """
        last = self.clip.vision.layers - 2
        wanted = self.config.layers or tuple(range(last + 1))
        if not all(0 <= layer <= last for layer in wanted):
            raise ConfigError(f"layers of {self.clip.name} must be from 0 to {last}; got {wanted}")
        return tuple(sorted(set(wanted)))

    @cached_property
    def classifier(self) -> Float[Tensor, "class embed"]:
        """Zero-shot classifier of the evaluated set's classes, unit rows on the CPU."""
        images = self.evaluated.images
        templates = self.config.templates or images.templates or DEFAULT_TEMPLATES
        self.progress.stage(f"classifier of {len(images.classes)} classes")
        return encode_classes(self.clip, images.classes, templates=templates).float().cpu()

    @cached_property
    def all_labels(self) -> Int[Tensor, " image"]:
        """Class number of every evaluated image, readable or not."""
        return torch.tensor(list(class_labels(self.evaluated.images)))

    @cached_property
    def directions(self) -> dict[int, NeuronDirections]:
        """Directions, biases and thresholds of `layers` over D, stored ones if there are any."""
        return self.directions_of(self.layers)

    def directions_of(
        self, layers: Sequence[int], *, treatment: Treatment | None = None
    ) -> dict[int, NeuronDirections]:
        """Directions of some layers, with another treatment if one is given."""
        images = self.summarised.images
        self.progress.stage(f"neuron directions over {images.name}", len(images))
        chosen = self.config.treatment if treatment is None else treatment
        return directions_cached(
            self.store,
            self.clip,
            self.summarised,
            layers=layers,
            treatment=chosen,
            top_images=min(self.config.top_images, len(images)),
            processes=current_processes(),
            note=self.progress.note,
            advance=self.progress.advance,
        )

    def lens(
        self, layers: Sequence[int] | None = None, *, treatment: Treatment | None = None
    ) -> SecondOrderLens:
        """The lens for some layers; for `layers` by default."""
        chosen = self.config.treatment if treatment is None else treatment
        return SecondOrderLens(self.clip, layers or self.layers, treatment=chosen)

    def collect(self, lens: SecondOrderLens) -> Collection:
        """Coefficients of the evaluated images; call `discard` on the result when done."""
        images = self.evaluated.images
        self.progress.stage(f"lens over {images.name}", len(images))
        fields = {
            "weights": self.clip.weights_sha256,
            "preprocess": preprocess_fingerprint(self.clip),
            "images": images.fingerprint,
            "layers": list(lens.layers),
        }
        folder = scratch_folder(self.store.root, fields)
        collection = collect_images(
            lens, self.evaluated, folder, fields, budget=BUDGET, advance=self.progress.advance
        )
        for item in collection.skipped:
            self.progress.note(f"skipped an unreadable image: {item.name} ({item.reason})")
        return collection

    def accuracy(
        self,
        representation: Float[Tensor, "image embed"],
        numbers: Int[Tensor, " image"],
    ) -> float:
        """Zero-shot accuracy of embeddings of the evaluated images with these numbers."""
        return classification_accuracy(representation, self.classifier, self.all_labels[numbers])

    def pixels(
        self, source: PixelBatches, name: str
    ) -> Iterator[tuple[Float[Tensor, "image 3 height width"], Int[Tensor, " image"]]]:
        """Readable images of a set with their numbers, batch by batch, with progress."""
        self.progress.stage(f"{name} over {source.images.name}", len(source.images))
        for batch in source:
            if batch.indices:
                yield batch.pixels, torch.tensor(batch.indices)
            for item in batch.skipped:
                self.progress.note(f"skipped an unreadable image: {item.name} ({item.reason})")
            self.progress.advance(len(batch.indices) + len(batch.skipped))


def open_subject(config: ExperimentConfig, store: ArtifactStore, progress: Progress) -> Subject:
    """Load the model and the image sets of an experiment.

    Raises:
        ConfigError: If a name or layer is wrong.
        DataError: If an image set is missing or the evaluated one has no labels.
        ModelError: If the model cannot be loaded or its tower cannot be read.
    """
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    progress.stage(f"loading {config.model}")
    clip = load_clip(config.model, device=device)
    sources = [
        PixelBatches(
            load_image_set(spec), clip.preprocess, config.batch_size, workers=config.workers
        )
        for spec in (config.images, config.lens_images)
    ]
    class_labels(sources[0].images)
    subject = Subject(config, clip, sources[0], sources[1], store, progress)
    _ = subject.layers
    return subject


def plain_pixels(
    pairs: Iterable[tuple[Float[Tensor, "image 3 height width"], Int[Tensor, " image"]]],
) -> Iterator[Float[Tensor, "image 3 height width"]]:
    """The pixels of `Subject.pixels` alone."""
    return (pixels for pixels, _ in pairs)
