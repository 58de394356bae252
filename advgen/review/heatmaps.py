"""Heat maps for the review page, made on demand with the attacked model of the run."""

from __future__ import annotations

import io
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import Image

from advgen.attack.opening import open_model
from advgen.attack.words import pair_classes
from advgen.config import AttackConfig, read_attack_toml
from advgen.errors import AdvgenError
from advgen.generation.layout import RunLayout
from advgen.models import ClipModel
from advgen.records import ClassPair
from advgen.review.items import Item
from advgen.scoring.heatmap import first_order_heatmap

TARGET_RGB, TRUE_RGB = (194, 65, 12), (14, 116, 144)
STRENGTH = 0.75


class Heatmaps:
    """The attacked models of some runs; each is loaded with the first heat map that needs it."""

    def __init__(self) -> None:
        self._loaded: dict[Path, tuple[AttackConfig, ClipModel]] = {}
        self._lock = Lock()

    def __call__(self, item: Item) -> bytes | None:
        """The PNG of an item's heat map; None where the run's model cannot be had any more."""
        with self._lock:
            try:
                config, clip = self._model(item.run)
                with Image.open(item.image) as opened:
                    image = opened.convert("RGB")
                pair = ClassPair(item.sample.true_class, item.sample.target_class)
                true, target = pair_classes(config, clip)[pair]
            except (AdvgenError, OSError, KeyError):
                return None
            heat = first_order_heatmap(clip, clip.preprocess(image)[None], target - true)
        buffer = io.BytesIO()
        overlay(image, heat).save(buffer, format="PNG")
        return buffer.getvalue()

    def _model(self, run: Path) -> tuple[AttackConfig, ClipModel]:
        if run not in self._loaded:
            config = read_attack_toml(RunLayout(run).config)
            self._loaded[run] = (config, open_model(config))
        return self._loaded[run]


def overlay(image: Image.Image, heat: torch.Tensor) -> Image.Image:
    """A heat map laid over its image: warm speaks for the target class, cold for the true class.

    The strongest patch has full colour, so maps of two images do not compare.

    Args:
        image: A square RGB image.
        heat: Float [row, column].
    """
    scale = float(heat.abs().max()) or 1.0
    small = Image.fromarray((heat / scale).float().numpy())
    values = np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))[..., None]
    colour = np.where(values > 0, np.array(TARGET_RGB), np.array(TRUE_RGB))
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=float)
    weight = STRENGTH * np.abs(values).clip(0, 1)
    mixed = grey * (1 - weight) + colour * weight
    return Image.fromarray(mixed.round().astype(np.uint8))
