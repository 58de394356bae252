"""The training loop of the sandbox checkpoints: standard CLIP loss, resumable, seeded."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from advgen.errors import RunError
from advgen.sandbox.clip import IMAGE_MEAN, IMAGE_STD
from advgen.sandbox.training.data import SceneArrays
from advgen.sandbox.training.pressure import second_order_pressure
from advgen.sandbox.training.recipes import Recipe
from advgen.store import write_atomic

CHECKPOINT_EVERY = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """One optimiser step's samples.

    Attributes:
        pixels: Float [image, 3, height, width], normalised.
        tokens: Int [image, token].
        targets: Float [image, label], 1 for what is in the scene.
    """

    pixels: Tensor
    tokens: Tensor
    targets: Tensor


class Trainer:
    """Trains one recipe; call `run` until it returns.

    Args:
        recipe: What to train.
        arrays: The drawn scenes.
        vocab_size: Token ids of the text tower.
        labels: Concepts and places, the width of the auxiliary head.
        folder: Where checkpoints of the unfinished run are kept; found ones are continued from.

    Raises:
        RunError: If the folder holds the state of another recipe.
    """

    def __init__(
        self, recipe: Recipe, arrays: SceneArrays, *, vocab_size: int, labels: int, folder: Path
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.arrays = arrays
        self.folder = folder
        self.model = open_clip.CLIP(**recipe.model_config(vocab_size))
        self.head = nn.Linear(recipe.embed_dim, labels)
        self.optimizer = self._optimizer()
        self.step = 0
        self.log: list[dict[str, Any]] = []
        if (folder / "state.json").exists():
            self._restore()

    def run(
        self, evaluate: Callable[[open_clip.CLIP], dict[str, float]], every: int
    ) -> open_clip.CLIP:
        """Train to the last step, measuring and checkpointing on the way, and return the model."""
        started, begun = time.monotonic(), self.step
        for step in range(self.step, self.recipe.total_steps):
            loss = self._train_step(step)
            self.step = step + 1
            if self.step % every == 0 or self.step == self.recipe.total_steps:
                speed = (self.step - begun) * self.recipe.batch_size / (time.monotonic() - started)
                row = {
                    "step": self.step,
                    "loss": round(loss, 4),
                    "images_per_second": round(speed, 1),
                }
                self.log.append(row | evaluate(self.model))
            if self.step % CHECKPOINT_EVERY == 0 or self.step == self.recipe.total_steps:
                self._save()
        return self.model

    def _train_step(self, step: int) -> float:
        recipe, model = self.recipe, self.model
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        batch = self._batch(step)
        held = torch.rand(len(batch.pixels)) < recipe.second_order_share
        others = torch.randperm(len(held))
        kind = "hold" if step < recipe.steps else "swap"
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with second_order_pressure(model, held, kind, others=others):
                images = model.encode_image(batch.pixels)
            texts = model.encode_text(batch.tokens)
        images, texts = F.normalize(images.float(), dim=-1), F.normalize(texts.float(), dim=-1)
        logits = model.logit_scale.exp() * images @ texts.T
        target = torch.arange(len(logits))
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        head_logits = self.head(images * math.sqrt(recipe.embed_dim))
        head_loss = F.binary_cross_entropy_with_logits(head_logits, batch.targets, reduction="none")
        total = loss + recipe.head_weight * head_loss.sum(dim=-1).mean()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([*model.parameters(), *self.head.parameters()], 1.0)
        self.optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(recipe.logit_scale_cap))
        return loss.item()

    def _batch(self, step: int) -> Batch:
        size, count = self.recipe.batch_size, self.recipe.scenes
        per_epoch = count // size
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(count)
        rows = np.sort(order[place * size : (place + 1) * size])
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        images = torch.from_numpy(self.arrays.images[rows]).permute(0, 3, 1, 2).float() / 255
        mean, std = torch.tensor(IMAGE_MEAN)[:, None, None], torch.tensor(IMAGE_STD)[:, None, None]
        choice = rng.integers(self.recipe.captions, size=size)
        tokens = torch.from_numpy(self.arrays.tokens[rows, choice].astype(np.int64))
        targets = torch.zeros(size, self.head.out_features + 1)
        labels = torch.from_numpy(self.arrays.labels[rows].astype(np.int64))
        targets.scatter_(1, labels.where(labels >= 0, self.head.out_features), 1.0)
        return Batch((images - mean) / std, tokens, targets[:, :-1])

    def _learning_rate(self, step: int) -> float:
        """Linear warm-up, then a cosine to zero; once more for the steps under `swap`."""
        recipe = self.recipe
        peak, steps, warmup = recipe.learning_rate, recipe.steps, recipe.warmup_steps
        if step >= recipe.steps:
            step -= recipe.steps
            peak, steps = recipe.swap_learning_rate, recipe.swap_steps
            warmup = recipe.swap_warmup_steps
        if step < warmup:
            return peak * (step + 1) / warmup
        done = (step - warmup) / max(1, steps - warmup)
        return peak * 0.5 * (1 + math.cos(math.pi * done))

    def _named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.model.named_parameters()
        for name, parameter in self.head.named_parameters():
            yield f"head.{name}", parameter

    def _optimizer(self) -> torch.optim.AdamW:
        matrices, rest = [], []
        for name, parameter in self._named_parameters():
            decays = parameter.ndim >= 2 and "embedding" not in name
            (matrices if decays else rest).append(parameter)
        groups = [
            {"params": matrices, "weight_decay": self.recipe.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate, betas=(0.9, 0.98), eps=1e-6)

    def _save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Tensor] = {}
        for name, parameter in self._named_parameters():
            tensors[f"weight/{name}"] = parameter.detach().contiguous()
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}/{name}"] = value.detach().contiguous()
        path = self.folder / f"state-{self.step}.safetensors"
        save_file(tensors, path)
        state = {"step": self.step, "recipe": dataclasses.asdict(self.recipe), "log": self.log}
        write_atomic(self.folder / "state.json", json.dumps(state, indent=1))
        for old in self.folder.glob("state-*.safetensors"):
            if old != path:
                old.unlink()

    def _restore(self) -> None:
        state = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        now = dataclasses.asdict(self.recipe)
        before = state.get("recipe", now)
        different = sorted(
            key for key in now.keys() | before.keys() if now.get(key) != before.get(key)
        )
        if different:
            raise RunError(
                f"{self.folder} holds a training with other settings ({', '.join(different)}); "
                "remove it or use another --work"
            )
        self.step, self.log = state["step"], state["log"]
        tensors = load_file(self.folder / f"state-{self.step}.safetensors")
        with torch.no_grad():
            for name, parameter in self._named_parameters():
                parameter.copy_(tensors[f"weight/{name}"])
                self.optimizer.state[parameter] = {
                    key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
                }
