"""What a comparison of segmentation methods runs on, and how it is scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from advgen import registry
from advgen.config import LensConfig
from advgen.errors import ConfigError
from advgen.evaluate.segmentation.metrics import THRESHOLDS, Threshold
from advgen.evaluate.segmentation.protocol import KIND

Protocol = Literal["reference", "aligned"]
PROTOCOLS: tuple[Protocol, ...] = ("reference", "aligned")
"""`reference`: the mask is squashed to a square, the image resized and cropped as the model does:
they do not lie on one another unless the image is square. This is what was published.
`aligned`: the mask goes through the image's own geometry."""

ClassChoice = Literal["truth", "predicted"]
CLASS_CHOICES: tuple[ClassChoice, ...] = ("truth", "predicted")
"""Whose heat map is drawn: the class that is there, or the one that the model takes it for."""

METHODS = registry.names(KIND)


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationConfig:
    """A model, images with masks, and how heat maps are compared with them.

    Attributes:
        model: As for `advgen.models.load_clip`.
        masks: Images with masks (`advgen.evaluate.segmentation.masksets`).
        lens_images: Image set D of the neurons' directions.
        top_images: Images that a direction is fitted to.
        treatment: Of the layer norm's mean.
        methods: Names of the methods.
        protocols: See `PROTOCOLS`.
        thresholds: `0.5` or `mean`, of the scaled map.
        class_choice: See `CLASS_CHOICES`.
        templates: Class prompts; empty takes the mask set's own, else the paper's.
        batch_size: Images per call of a method.
        device: Torch device, or `auto`.
        seed: Of the examples that are shown.
    """

    model: str = "sandbox-a"
    masks: str = "sandbox:500?seed=5"
    lens_images: str = "sandbox:2000"
    top_images: int = 100
    treatment: Literal["paper", "centered"] = "paper"
    methods: tuple[str, ...] = METHODS
    protocols: tuple[Protocol, ...] = PROTOCOLS
    thresholds: tuple[Threshold, ...] = THRESHOLDS
    class_choice: ClassChoice = "truth"
    templates: tuple[str, ...] = ()
    batch_size: int = 25
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        lists = {
            "method": (self.methods, METHODS),
            "protocol": (self.protocols, PROTOCOLS),
            "threshold": (self.thresholds, THRESHOLDS),
            "class choice": ((self.class_choice,), CLASS_CHOICES),
        }
        for kind, (given, known) in lists.items():
            wrong = [name for name in given if name not in known]
            if wrong:
                raise ConfigError(registry.unknown_name(kind, wrong[0], known))
            if not given or len(set(given)) < len(given):
                raise ConfigError(f"name at least one {kind}, each once; got {', '.join(given)}")
        if self.batch_size < 1:
            raise ConfigError("batch_size must be at least 1")

    @property
    def lens(self) -> LensConfig:
        """How directions are found; the methods say for which layers.

        Raises:
            ConfigError: If a value cannot be used.
        """
        return LensConfig(
            images=self.lens_images, treatment=self.treatment, top_images=self.top_images
        )


_PRESETS: dict[str, dict[str, Any]] = {
    "sandbox": {},
    "paper": {
        "model": "ViT-B-32-quickgelu/openai",
        "masks": "imagenet-seg:imagenet-seg",
        "lens_images": "imagenet:imagenet/train?every=250&offset=249",
        "class_choice": "predicted",
    },
}


def segmentation_preset(name: str, **changes: Any) -> SegmentationConfig:
    """A packaged set of values, with some of them changed.

    Args:
        name: `sandbox`, or `paper` (gtsegs_ijcv.mat in ``./imagenet-seg`` and ImageNet below
            ``./imagenet``; give `masks` and `lens_images` for other places).
        changes: Fields of `SegmentationConfig`; None leaves the preset's value.

    Raises:
        ConfigError: If there is no such preset, or a value cannot be used.
    """
    if name not in _PRESETS:
        raise ConfigError(f"unknown preset '{name}'; available: {', '.join(_PRESETS)}")
    given = {key: value for key, value in changes.items() if value is not None}
    return SegmentationConfig(**{**_PRESETS[name], **given})
