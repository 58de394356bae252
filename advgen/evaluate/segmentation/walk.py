"""One pass over images with masks, for several methods at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from advgen.attack.progress import Progress, Silent
from advgen.errors import DataError
from advgen.evaluate.segmentation.geometry import Box, cut, seen_box, squashed
from advgen.evaluate.segmentation.masksets import MaskedImage, MaskSet
from advgen.evaluate.segmentation.metrics import (
    MaskScores,
    Tally,
    Threshold,
    average_precision,
    scaled,
)
from advgen.evaluate.segmentation.protocol import Segmenter
from advgen.evaluate.segmentation.settings import Protocol, SegmentationConfig
from advgen.imagesets import UnreadableImageError
from advgen.imagesets.batches import Skipped
from advgen.models import DEFAULT_TEMPLATES, ClipModel, encode_classes


@dataclass(frozen=True, slots=True)
class MethodScores:
    """One method under one protocol and threshold.

    Attributes:
        method: Its name.
        protocol: How the mask was brought to the metrics' size.
        threshold: Where the map was cut.
        scores: What came of it.
    """

    method: str
    protocol: Protocol
    threshold: Threshold
    scores: MaskScores


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An item with the heat maps of all methods.

    Attributes:
        index: Its number in the set.
        item: Image, mask and class.
        asked: The class whose heat maps these are.
        box: The part of the image that the model saw.
        heatmaps: Method -> one value per patch.
    """

    index: int
    item: MaskedImage
    asked: str
    box: Box
    heatmaps: Mapping[str, Float[Tensor, "row column"]]


@dataclass(frozen=True, slots=True)
class Segmented:
    """What a walk found.

    Attributes:
        rows: Method by method, each with every protocol and threshold.
        images: Items that were scored.
        predicted_right: Share of them whose class the model takes them for; NaN where the truth was
            given and nobody asked.
        coincide: Whether all protocols gave the same masks, as they do for square images.
        skipped: Items that were left out, and why.
        examples: Those asked for.
    """

    rows: tuple[MethodScores, ...]
    images: int
    predicted_right: float
    coincide: bool
    skipped: tuple[Skipped, ...] = field(default=())
    examples: tuple[Example, ...] = field(default=())

    def row(self, method: str, protocol: Protocol, threshold: Threshold) -> MaskScores:
        """The scores of one method.

        Raises:
            KeyError: If it was not asked for.
        """
        for row in self.rows:
            if (row.method, row.protocol, row.threshold) == (method, protocol, threshold):
                return row.scores
        raise KeyError((method, protocol, threshold))


class ClassTexts:
    """Class embeddings of a mask set, each encoded once.

    Args:
        clip: The model.
        masks: Whose classes, and whose templates unless others are given.
        templates: Class prompts; empty takes the set's own, else the paper's.
    """

    def __init__(self, clip: ClipModel, masks: MaskSet, templates: Sequence[str] = ()) -> None:
        self.templates = tuple(templates or masks.templates or DEFAULT_TEMPLATES)
        self._clip, self._names = clip, masks.classes
        self._known: dict[str, Float[Tensor, " embed"]] = {}

    def one(self, name: str) -> Float[Tensor, " embed"]:
        """Unit embedding of a class."""
        if name not in self._known:
            encoded = encode_classes(self._clip, [name], templates=self.templates)
            self._known[name] = encoded[0].float().cpu()
        return self._known[name]

    def predicted(self, pixels: Float[Tensor, "image 3 height width"]) -> list[str]:
        """The set's class that each image is most similar to."""
        images = self._clip.encode_image(pixels).float().cpu()
        return [self._names[int(best)] for best in (images @ self._every.T).argmax(dim=1)]

    @cached_property
    def _every(self) -> Float[Tensor, "class embed"]:
        return encode_classes(self._clip, self._names, templates=self.templates).float().cpu()


def segment_masks(
    masks: MaskSet,
    clip: ClipModel,
    methods: Mapping[str, Segmenter],
    config: SegmentationConfig,
    *,
    keep: Sequence[int] = (),
    progress: Progress | None = None,
) -> Segmented:
    """Score methods on images with masks, reading and preprocessing each image once.

    Args:
        masks: The set.
        clip: The model that the methods look into.
        methods: Name -> method.
        config: Protocols, thresholds, class choice, templates, batch size; the rest is not read.
        keep: Numbers of items to return with their heat maps.
        progress: Told of every item.

    Raises:
        DataError: If no item can be scored.
        ModelError: If the protocol `aligned` cannot follow the model's preprocessing.
        ValueError: If a method gives values that are not finite.
    """
    walk = _Walk(masks, clip, methods, config, set(keep), progress or Silent())
    walk.progress.stage(f"segmentation of {masks.name}", len(masks))
    for start in range(0, len(masks), config.batch_size):
        walk.batch(range(start, min(start + config.batch_size, len(masks))))
    return walk.found()


@dataclass
class _Walk:
    masks: MaskSet
    clip: ClipModel
    methods: Mapping[str, Segmenter]
    config: SegmentationConfig
    keep: set[int]
    progress: Progress

    def __post_init__(self) -> None:
        self.texts = ClassTexts(self.clip, self.masks, self.config.templates)
        self.tallies: dict[tuple[str, Protocol, Threshold], Tally] = {
            (method, protocol, threshold): Tally(threshold)
            for method in self.methods
            for protocol in self.config.protocols
            for threshold in self.config.thresholds
        }
        self.boxes: dict[tuple[int, int], Box] = {}
        self.skipped: list[Skipped] = []
        self.examples: list[Example] = []
        self.right: list[bool] = []
        self.coincide, self.images = True, 0

    def batch(self, indices: range) -> None:
        items = dict(self._readable(indices))
        if items:
            pixels = torch.stack([self.clip.preprocess(item.image) for item in items.values()])
            asked = self._asked(pixels, list(items.values()))
            classes = torch.stack([self.texts.one(name) for name in asked])
            maps = {name: m.heatmaps(pixels, classes) for name, m in self.methods.items()}
            for row, (index, item) in enumerate(items.items()):
                heatmaps = {name: found[row] for name, found in maps.items()}
                self._score(item, heatmaps)
                if index in self.keep:
                    box = self._box(item)
                    self.examples.append(Example(index, item, asked[row], box, heatmaps))
        self.progress.advance(len(indices))

    def found(self) -> Segmented:
        if not self.images:
            reason = f" ({self.skipped[0].name}: {self.skipped[0].reason})" if self.skipped else ""
            raise DataError(f"no item of {self.masks.name} could be scored{reason}")
        rows = tuple(MethodScores(*key, tally.scores()) for key, tally in self.tallies.items())
        share = float(np.mean(self.right)) if self.right else float("nan")
        skipped, examples = tuple(self.skipped), tuple(self.examples)
        return Segmented(rows, self.images, share, self.coincide, skipped, examples)

    def _readable(self, indices: range) -> Iterator[tuple[int, MaskedImage]]:
        for index in indices:
            try:
                item = self.masks[index]
            except DataError as error:
                reason = error.reason if isinstance(error, UnreadableImageError) else str(error)
                self._skip(index, reason)
                continue
            if item.class_name is None and self.config.class_choice == "truth":
                self._skip(index, "its class is not known; the class choice predicted takes it")
            else:
                yield index, item

    def _skip(self, index: int, reason: str) -> None:
        self.skipped.append(Skipped(index, self.masks.describe(index), reason))
        self.progress.note(f"left out: {self.skipped[-1].name} ({reason})")

    def _asked(self, pixels: Tensor, items: list[MaskedImage]) -> list[str]:
        truth = [item.class_name for item in items]
        if self.config.class_choice == "truth":
            return [name for name in truth if name is not None]
        predicted = self.texts.predicted(pixels)
        self.right += [
            name == best for name, best in zip(truth, predicted, strict=True) if name is not None
        ]
        return predicted

    def _score(self, item: MaskedImage, heatmaps: Mapping[str, Tensor]) -> None:
        self.images += 1
        protocols = self.config.protocols
        masks: dict[Protocol, np.ndarray] = {name: self._mask(item, name) for name in protocols}
        same = all(np.array_equal(mask, next(iter(masks.values()))) for mask in masks.values())
        self.coincide &= same
        for method, heatmap in heatmaps.items():
            heat = scaled(heatmap)
            precision = float("nan")
            for number, (protocol, mask) in enumerate(masks.items()):
                if not (number and same):
                    precision = average_precision(heat, mask)
                for threshold in self.config.thresholds:
                    self.tallies[method, protocol, threshold].add(heat, mask, precision)

    def _mask(self, item: MaskedImage, protocol: Protocol) -> Bool[np.ndarray, "side side"]:
        return squashed(item.mask) if protocol == "reference" else cut(item.mask, self._box(item))

    def _box(self, item: MaskedImage) -> Box:
        if item.image.size not in self.boxes:
            self.boxes[item.image.size] = seen_box(self.clip.preprocess, item.image.size)
        return self.boxes[item.image.size]
