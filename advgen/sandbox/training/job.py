"""A whole training: draw scenes, train, measure, write the checkpoint and its log."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import torch

from advgen.sandbox.clip import save_checkpoint, wrap
from advgen.sandbox.images import SandboxImages
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.measure import zero_shot_accuracy
from advgen.sandbox.training.data import training_arrays
from advgen.sandbox.training.loop import Trainer
from advgen.sandbox.training.recipes import Recipe
from advgen.sandbox.vocabulary import vocabulary
from advgen.sandbox.world import world_fingerprint
from advgen.store import write_atomic

MEASURE_EVERY = 500
MEASURED_IMAGES = 680
MEASURE_SEED = 77


def train_checkpoint(
    recipe: Recipe, out: Path, work: Path, processes: int, threads: int, progress: Any
) -> Path:
    """Train a recipe to its end, or continue it, and write the checkpoint folder.

    Args:
        recipe: What to train.
        out: Checkpoint folder: config, weights, vocabulary, training log.
        work: Where scenes and the unfinished state are kept between calls.
        processes: Processes that draw scenes.
        threads: Torch threads; 0 leaves torch's choice.
        progress: Listener (`attack.progress.Progress`).
    """
    if threads:
        torch.set_num_threads(threads)
    lexicon = load_lexicon()
    words = vocabulary(lexicon)
    progress.stage(f"drawing {recipe.scenes} scenes")
    arrays = training_arrays(
        recipe, work, processes=processes, progress=_told(progress, "chunks drawn")
    )
    vocab_size = len(words) + 4
    trainer = Trainer(
        recipe,
        arrays,
        vocab_size=vocab_size,
        labels=len(lexicon.concepts) + len(lexicon.places),
        folder=work / f"{recipe.name}-state",
    )
    progress.stage(f"training {recipe.name}", recipe.total_steps, trainer.step)
    images = SandboxImages(MEASURED_IMAGES, seed=MEASURE_SEED, single=True)

    def evaluate(model: open_clip.CLIP) -> dict[str, float]:
        model.eval()
        accuracy = zero_shot_accuracy(wrap(model, words, recipe.name), images)
        model.train()
        progress.note(f"step {trainer.step}: zero-shot {accuracy:.3f}")
        return {"zero_shot": round(accuracy, 4)}

    model = trainer.run(evaluate, MEASURE_EVERY)
    save_checkpoint(model, recipe.model_config(vocab_size), words, out)
    log = {
        "recipe": dataclasses.asdict(recipe),
        "world": world_fingerprint(),
        "torch": torch.__version__,
        "log": trainer.log,
    }
    write_atomic(out / "training.json", json.dumps(log, indent=1) + "\n")
    return out


def _told(progress: Any, what: str) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if done == total or done % 25 == 0:
            progress.note(f"{done} of {total} {what}")

    return tell
