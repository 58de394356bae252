"""Heat maps for the review page, made on demand with the attacked model of the run."""

from __future__ import annotations

import io
import logging
from collections import OrderedDict
from pathlib import PurePath
from threading import Lock

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from advgen.attack.opening import open_model
from advgen.config import AttackConfig, read_attack_toml
from advgen.errors import AdvgenError
from advgen.generation.layout import RunLayout
from advgen.heatmap_overlay import overlay, peak_of, seen_image
from advgen.imagesets import open_image
from advgen.models import ClipModel
from advgen.review.items import Item, read_image
from advgen.review.maps import KINDS, HeatPicture, NoHeatmap
from advgen.scoring import class_embeddings
from advgen.scoring.heatmap import run_heatmap

KEPT_BYTES = 64 * 2**20
"""Pictures held in memory, in bytes; the one drawn last is held whatever its size."""
KEPT_MODELS = 2
"""Models held in memory; runs that attacked the same one share it."""


class Heatmaps:
    """Draws heat maps one at a time, each once while it is remembered; safe to call from threads.

    Models are loaded with the first map that needs them.
    """

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[str, str], ClipModel] = OrderedDict()
        self._contrasts: dict[tuple[str, ...], Float[Tensor, " embed"]] = {}
        self._made: OrderedDict[tuple[str, ...], HeatPicture] = OrderedDict()
        self._drawing = Lock()
        self._keeping = Lock()

    def __call__(self, item: Item, kind: str) -> HeatPicture:
        """The PNG of an item's heat map.

        Args:
            item: Whose image is mapped.
            kind: `first-order` or `second-order`.

        Raises:
            NoHeatmap: If the run's settings or model cannot be had, or the model has no such map.
            DataError: If the image is gone or is not the one that the run's records name.
            ValueError: If the kind is neither.
        """
        if kind not in KINDS:
            raise ValueError(f"expected {' or '.join(KINDS)}; got {kind!r}")
        key = (str(item.run), item.id, item.sha256, kind)
        made = self._remembered(key)
        if made is None:
            with self._drawing:
                made = self._remembered(key) or self._remember(key, self._draw(item, kind))
        return made

    def _remembered(self, key: tuple[str, ...]) -> HeatPicture | None:
        with self._keeping:
            if key in self._made:
                self._made.move_to_end(key)
            return self._made.get(key)

    def _remember(self, key: tuple[str, ...], made: HeatPicture) -> HeatPicture:
        with self._keeping:
            self._made[key] = made
            while len(self._made) > 1 and _size(self._made) > KEPT_BYTES:
                self._made.popitem(last=False)
        return made

    def _draw(self, item: Item, kind: str) -> HeatPicture:
        image = open_image(io.BytesIO(read_image(item)), str(item.image))
        try:
            config = read_attack_toml(RunLayout(item.run).config)
        except AdvgenError as error:
            raise _none(
                "The settings of this image's run (run.toml) cannot be read.", error
            ) from error
        name = PurePath(config.model.name).name
        try:
            clip = self._model(config)
        except (AdvgenError, OSError, ValueError, RuntimeError, AssertionError) as error:
            raise _none(f"The attacked model {name} cannot be loaded here.", error) from error
        try:
            seen = seen_image(clip, image)
            contrast = self._contrast(config, clip, item)
            heat = run_heatmap(kind, clip, clip.preprocess(seen)[None], contrast, config.lens)
        except (AdvgenError, ValueError, RuntimeError) as error:
            raise _none(f"No {kind} map can be made with {name}.", error) from error
        return HeatPicture(_png(overlay(seen, heat)), peak_of(heat))

    def _model(self, config: AttackConfig) -> ClipModel:
        key = (config.model.name, config.model.device)
        if key not in self._models:
            while len(self._models) >= KEPT_MODELS:
                self._models.popitem(last=False)
            self._models[key] = open_model(config)
        self._models.move_to_end(key)
        return self._models[key]

    def _contrast(
        self, config: AttackConfig, clip: ClipModel, item: Item
    ) -> Float[Tensor, " embed"]:
        """The vector v of the item's pair, whatever pairs the run's settings name."""
        pair, templates = (item.true_class, item.target_class), config.model.templates
        key = (config.model.name, *templates, *pair)
        if key not in self._contrasts:
            true, target = class_embeddings(clip, pair, templates)
            self._contrasts[key] = target - true
        return self._contrasts[key]


def _size(made: OrderedDict[tuple[str, ...], HeatPicture]) -> int:
    return sum(len(picture.data) for picture in made.values())


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _none(reason: str, error: Exception) -> NoHeatmap:
    """The reason for reviewers; the server's log has the whole fault, which may name paths."""
    logging.getLogger(__name__).warning("%s %s: %s", reason, type(error).__name__, error)
    return NoHeatmap(reason)
