"""What each sandbox checkpoint is made of: architecture, data and schedule, all in one table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from advgen.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a sandbox checkpoint's weights, on one machine.

    Attributes:
        name: Checkpoint name.
        seed: Seed of weights and data order.
        scene_seed: Seed of scenes and captions.
        image_size: Side of the training images in pixels.
        patch_size: Side of a patch in pixels.
        width: Width of the image tower.
        layers: Blocks of the image tower.
        embed_dim: Joint text-image dimension.
        text_width: Width of the text tower.
        text_layers: Blocks of the text tower.
        context_length: Tokens per text.
        scenes: Distinct scenes that are drawn.
        captions: Captions written per scene.
        steps: Optimiser steps under the pressure `hold`.
        swap_steps: Steps that follow under the pressure `swap`, with a schedule of their own.
        batch_size: Scenes per step.
        learning_rate: Peak of the cosine schedule.
        swap_learning_rate: Peak of the second schedule.
        warmup_steps: Steps of linear warm-up.
        swap_warmup_steps: The same in the second schedule.
        weight_decay: AdamW decay on matrices.
        logit_scale_cap: Upper bound of the logit scale.
        second_order_share: Share of samples under pressure (see `training.pressure`).
        head_weight: Weight of the auxiliary multi-label loss on the image embedding.
    """

    name: str
    seed: int
    scene_seed: int = 1
    image_size: int = 60
    patch_size: int = 12
    width: int = 160
    layers: int = 6
    embed_dim: int = 512
    text_width: int = 192
    text_layers: int = 2
    context_length: int = 24
    scenes: int = 240_000
    captions: int = 4
    steps: int = 5_500
    swap_steps: int = 1_300
    batch_size: int = 192
    learning_rate: float = 1e-3
    swap_learning_rate: float = 6e-4
    warmup_steps: int = 300
    swap_warmup_steps: int = 162
    weight_decay: float = 0.1
    logit_scale_cap: float = 50.0
    second_order_share: float = 0.8
    head_weight: float = 0.3

    @property
    def total_steps(self) -> int:
        """Optimiser steps of both schedules."""
        return self.steps + self.swap_steps

    def model_config(self, vocab_size: int) -> dict[str, Any]:
        """Keyword arguments of `open_clip.CLIP` for this recipe."""
        return {
            "embed_dim": self.embed_dim,
            "vision_cfg": {
                "image_size": self.image_size,
                "patch_size": self.patch_size,
                "width": self.width,
                "layers": self.layers,
                "head_width": 32,
            },
            "text_cfg": {
                "context_length": self.context_length,
                "vocab_size": vocab_size,
                "width": self.text_width,
                "heads": self.text_width // 32,
                "layers": self.text_layers,
            },
        }


RECIPES: dict[str, Recipe] = {
    "sandbox-a": Recipe(name="sandbox-a", seed=1),
    "sandbox-b": Recipe(name="sandbox-b", seed=2, steps=2_500),
    "sandbox-c": Recipe(name="sandbox-c", seed=3, patch_size=15, width=192, steps=2_500),
}


def recipe(name: str, *, steps: int | None = None, scenes: int | None = None) -> Recipe:
    """A recipe by name, optionally cut short for a trial.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in RECIPES:
        raise ConfigError(
            f"unknown sandbox checkpoint '{name}'; choose one of {', '.join(RECIPES)}"
        )
    chosen = RECIPES[name]
    if steps is not None:
        chosen = replace(chosen, steps=steps, swap_steps=0)
    return replace(chosen, scenes=scenes or chosen.scenes)
