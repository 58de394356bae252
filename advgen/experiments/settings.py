"""What an experiment runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from advgen.config import TREATMENTS, Treatment
from advgen.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentConfig:
    """A model, the images that its neurons are summarised over, and the labelled ones to classify.

    Attributes:
        model: As for `advgen.models.load_clip`.
        images: Labelled image set that accuracy is measured on (`advgen.imagesets.spec`).
        lens_images: Image set D of directions, means and thresholds.
        layers: MLP layers; None takes all that have a later attention layer.
        treatment: Of the layer norm's mean.
        templates: Class prompts; empty takes the image set's own, else the paper's.
        pool: Text pool of sparse codes.
        nonzeros: Words per neuron (m).
        atoms: Treatment of the pool's embeddings.
        solver: Of the sparse codes.
        top_images: Images that a direction is fitted to.
        batch_size: Images per pass of the tower.
        workers: Processes that read images ahead.
        device: Torch device, or `auto`.
        seed: Of everything that is drawn.
    """

    model: str = "sandbox-a"
    images: str = "sandbox:1360?single=1&seed=5"
    lens_images: str = "sandbox:2000"
    layers: tuple[int, ...] | None = None
    treatment: Treatment = "paper"
    templates: tuple[str, ...] = ()
    pool: str = "sandbox"
    nonzeros: int = 32
    atoms: str = "unit"
    solver: str = "batched"
    top_images: int = 100
    batch_size: int = 64
    workers: int = 0
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.treatment not in TREATMENTS:
            raise ConfigError(
                f"unknown treatment '{self.treatment}'; choose {', '.join(TREATMENTS)}"
            )
        if self.layers is not None and not self.layers:
            raise ConfigError("name at least one layer, or none to take all")
        for name in ("nonzeros", "top_images", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1")


_PRESETS: dict[str, dict[str, Any]] = {
    "sandbox": {},
    "paper": {
        "model": "ViT-B-32-quickgelu/openai",
        "images": "imagenet:imagenet/val?every=10",
        "lens_images": "imagenet:imagenet/train?every=250&offset=249",
        "pool": "words-30k",
        "nonzeros": 128,
    },
}


def experiment_preset(name: str, **changes: Any) -> ExperimentConfig:
    """A packaged set of values, with some of them changed.

    Args:
        name: `sandbox`, or `paper` (ImageNet below ``./imagenet``; give `images` and
            `lens_images` for another place).
        changes: Fields of `ExperimentConfig`; None leaves the preset's value.

    Raises:
        ConfigError: If there is no such preset.
    """
    if name not in _PRESETS:
        raise ConfigError(f"unknown preset '{name}'; available: {', '.join(_PRESETS)}")
    given = {key: value for key, value in changes.items() if value is not None}
    return ExperimentConfig(**{**_PRESETS[name], **given})
