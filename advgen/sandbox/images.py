"""Labelled images drawn on the fly: the sandbox's stand-in for a natural image set."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from advgen.errors import DataError
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.render import render_scene
from advgen.sandbox.scene import Scene, sample_scene
from advgen.sandbox.world import world_fingerprint
from advgen.store import write_atomic

DRAWN_SIZE = 128


class SandboxImages:
    """Random scenes by number: the same number gives the same scene, apart from those trained on.

    Args:
        count: How many.
        seed: Which series of scenes.
        size: Side in pixels.
        single: One thing per scene, classes in turn, instead of the world's usual mix.
    """

    def __init__(
        self, count: int, *, seed: int = 0, size: int = DRAWN_SIZE, single: bool = False
    ) -> None:
        self.name = f"sandbox:{count}"
        self.count, self.seed, self.size, self.single = count, seed, size, single

    @property
    def fingerprint(self) -> str:
        """Changes with the world, the series, the number and the size."""
        parts = [world_fingerprint(), self.count, self.seed, self.size, self.single]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def __len__(self) -> int:
        """See `ImageSet`."""
        return self.count

    def __iter__(self) -> Iterator[Image.Image]:
        """See `ImageSet`."""
        return (render_scene(self.scene(index), self.size) for index in range(self.count))

    def scene(self, index: int) -> Scene:
        """Scene number `index`; its last item is what it is about."""
        lexicon = load_lexicon()
        rng = random.Random(f"images-{self.seed}-{index}")
        if not self.single:
            return sample_scene(rng, lexicon)
        classes = tuple(lexicon.concepts)
        return sample_scene(rng, lexicon, main=classes[index % len(classes)], extras=0)

    def label(self, index: int) -> str:
        """Class name of scene number `index`."""
        return self.scene(index).items[-1].concept


def write_image_folder(images: SandboxImages, folder: Path) -> Path:
    """Write the set as `folder/CLASS/NUMBER.png` with `metadata.jsonl` (file, class, scene) beside.

    The metadata is written last, so a folder that has it is complete.

    Raises:
        DataError: If the folder cannot be written.
    """
    lines = []
    for index in range(len(images)):
        scene = images.scene(index)
        name = f"{scene.items[-1].concept}/{index:06d}.png"
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            render_scene(scene, images.size).save(path)
        except OSError as error:
            raise DataError(f"cannot write {path} ({error}); choose another folder") from error
        record = {"file_name": name, "label": scene.items[-1].concept, "scene": scene.to_dict()}
        lines.append(json.dumps(record))
    write_atomic(folder / "metadata.jsonl", "\n".join(lines) + "\n")
    return folder / "metadata.jsonl"
