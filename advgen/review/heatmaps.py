"""Heat maps for the review page, made on demand with the attacked model of the run."""

from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from PIL import Image

from advgen.attack.opening import open_model
from advgen.attack.words import pair_classes
from advgen.config import AttackConfig, read_attack_toml
from advgen.errors import AdvgenError
from advgen.generation.layout import RunLayout
from advgen.heatmap_overlay import overlay, seen_image
from advgen.models import ClipModel
from advgen.records import ClassPair
from advgen.review.items import Item
from advgen.scoring.heatmap import run_heatmap

KEPT = 256
"""Pictures held in memory."""


class Heatmaps:
    """The attacked models of some runs; each is loaded with the first heat map that needs it."""

    def __init__(self) -> None:
        self._loaded: dict[Path, tuple[AttackConfig, ClipModel]] = {}
        self._made: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._lock = Lock()

    def __call__(self, item: Item, kind: str) -> bytes | None:
        """The PNG of an item's heat map; None where the run's model cannot be had any more.

        Args:
            item: Whose image is mapped.
            kind: `first-order` or `second-order`.

        Raises:
            ValueError: If the kind is neither.
        """
        if kind not in ("first-order", "second-order"):
            raise ValueError(f"expected first-order or second-order; got {kind!r}")
        key = (item.id, item.sha256, kind)
        with self._lock:
            if key not in self._made:
                data = self._draw(item, kind)
                if data is None:
                    return None
                self._made[key] = data
                if len(self._made) > KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]

    def _draw(self, item: Item, kind: str) -> bytes | None:
        try:
            config, clip = self._model(item.run)
            with Image.open(item.image) as opened:
                image = seen_image(clip, opened)
            pair = ClassPair(item.sample.true_class, item.sample.target_class)
            true, target = pair_classes(config, clip)[pair]
            pixels = clip.preprocess(image)[None]
            heat = run_heatmap(kind, clip, pixels, target - true, config.lens)
        except (AdvgenError, OSError, KeyError, ValueError):
            return None
        buffer = io.BytesIO()
        overlay(image, heat).save(buffer, format="PNG")
        return buffer.getvalue()

    def _model(self, run: Path) -> tuple[AttackConfig, ClipModel]:
        if run not in self._loaded:
            config = read_attack_toml(RunLayout(run).config)
            self._loaded[run] = (config, open_model(config))
        return self._loaded[run]
