"""Training scenes: drawn once, in parallel, into arrays on disk, read back by memory map."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from advgen.sandbox.captions import caption
from advgen.sandbox.lexicon import Lexicon, load_lexicon
from advgen.sandbox.render import render_scene
from advgen.sandbox.scene import Scene, sample_scene
from advgen.sandbox.tokenizer import WordTokenizer
from advgen.sandbox.training.recipes import Recipe
from advgen.sandbox.vocabulary import vocabulary
from advgen.sandbox.world import world_fingerprint

DRAWN_SIZES = (64, 64, 64, 128)
MAX_LABELS = 6
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class SceneArrays:
    """Scenes ready for training.

    Attributes:
        images: uint8 [scene, height, width, 3].
        tokens: uint16 [scene, caption, token].
        labels: int16 [scene, 6]: the place's number (counted on after the concepts), then those of
            the concepts; -1 pads.
    """

    images: np.ndarray
    tokens: np.ndarray
    labels: np.ndarray


def training_scene(recipe: Recipe, lexicon: Lexicon, index: int) -> tuple[Scene, random.Random]:
    """Scene number `index` of a recipe and the generator that goes on to write its captions."""
    rng = random.Random(f"{recipe.scene_seed}-scene-{index}")
    return sample_scene(rng, lexicon), rng


def training_arrays(
    recipe: Recipe, folder: Path, *, processes: int, progress: Callable[[int, int], None]
) -> SceneArrays:
    """Draw the recipe's scenes below `folder`, or open those drawn before.

    Args:
        recipe: Says how many, how large, with which seed.
        folder: Where the arrays live; chunks already drawn for the same world are kept.
        processes: Worker processes.
        progress: Called with (chunks done, chunks in all).
    """
    key = json.dumps(
        [world_fingerprint(), recipe.scene_seed, recipe.scenes, recipe.captions, recipe.image_size]
    )
    root = folder / f"scenes-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    root.mkdir(parents=True, exist_ok=True)
    shapes = {
        "images": ((recipe.scenes, recipe.image_size, recipe.image_size, 3), np.uint8),
        "tokens": ((recipe.scenes, recipe.captions, recipe.context_length), np.uint16),
        "labels": ((recipe.scenes, MAX_LABELS), np.int16),
    }
    for name, (shape, dtype) in shapes.items():
        if not (root / f"{name}.npy").exists():
            np.lib.format.open_memmap(
                root / f"{name}.npy", mode="w+", dtype=dtype, shape=shape
            ).flush()
    starts = range(0, recipe.scenes, CHUNK)
    todo = [(recipe, root, start) for start in starts if not (root / f"{start}.done").exists()]
    done = len(starts) - len(todo)
    if todo:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for _ in pool.imap_unordered(_draw_chunk, todo):
                done += 1
                progress(done, len(starts))
    return SceneArrays(**{name: np.load(root / f"{name}.npy", mmap_mode="r") for name in shapes})


def _draw_chunk(task: tuple[Recipe, Path, int]) -> None:
    recipe, root, start = task
    lexicon = load_lexicon()
    tokenizer = WordTokenizer(vocabulary(lexicon), recipe.context_length)
    stop = min(start + CHUNK, recipe.scenes)
    arrays = {
        name: np.load(root / f"{name}.npy", mmap_mode="r+")
        for name in ("images", "tokens", "labels")
    }
    concepts = {name: number for number, name in enumerate(lexicon.concepts)}
    places = {name: len(concepts) + number for number, name in enumerate(lexicon.places)}
    for index in range(start, stop):
        scene, rng = training_scene(recipe, lexicon, index)
        image = render_scene(scene, rng.choice(DRAWN_SIZES))
        image = image.resize((recipe.image_size, recipe.image_size), Image.Resampling.BICUBIC)
        arrays["images"][index] = np.asarray(image)
        texts = [caption(rng, scene, lexicon) for _ in range(recipe.captions)]
        arrays["tokens"][index] = tokenizer(texts).numpy()
        numbers = [places[scene.place], *(concepts[name] for name in scene.concepts)]
        arrays["labels"][index] = (numbers + [-1] * MAX_LABELS)[:MAX_LABELS]
    for array in arrays.values():
        array.flush()
    (root / f"{start}.done").touch()
