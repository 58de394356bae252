"""Drawing one sentence for a person: the picture, its masks and what was left out."""

from __future__ import annotations

import io
import json
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.reader import compose, read_description
from advgen.sandbox.render import render_masks, render_scene
from advgen.sandbox.scene import Scene
from advgen.store import write_atomic


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn sentence."""

    scene: Scene
    size: int
    undrawn: tuple[str, ...]

    def write(self, path: Path, *, masks: bool) -> list[Path]:
        """Write the PNG; with `masks` also `NAME.mask-I-CONCEPT.png` per thing and `NAME.json`.

        Returns:
            The files written.
        """
        write_atomic(path, _png(render_scene(self.scene, self.size)))
        written = [path]
        if not masks:
            return written
        boxes = []
        for number, mask in enumerate(render_masks(self.scene, self.size)):
            slug = mask.item.concept.replace(" ", "_")
            target = path.with_name(f"{path.stem}.mask-{number}-{slug}.png")
            write_atomic(target, _png(Image.fromarray(mask.visible)))
            written.append(target)
            boxes.append({"concept": mask.item.concept, "box": mask.box, "mask": target.name})
        sidecar = path.with_suffix(".json")
        document = {"scene": self.scene.to_dict(), "objects": boxes, "undrawn": list(self.undrawn)}
        write_atomic(sidecar, json.dumps(document, indent=2) + "\n")
        return [*written, sidecar]


def draw_description(description: str, *, size: int, seed: int) -> Drawing:
    """Read a sentence and lay it out; the same sentence and seed give the same picture."""
    lexicon = load_lexicon()
    reading = read_description(description, lexicon)
    return Drawing(compose(reading, lexicon, random.Random(seed)), size, reading.undrawn)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
