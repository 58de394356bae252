"""Labelled images drawn on the fly: the sandbox's stand-in for a natural image set."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from PIL import Image

from advgen.errors import ConfigError, DataError
from advgen.imagesets import ImageSet
from advgen.imagesets.protocol import check_index
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
        own = {"single": (int(single), 0), "seed": (seed, 0), "size": (size, DRAWN_SIZE)}
        options = "&".join(
            f"{key}={value}" for key, (value, usual) in own.items() if value != usual
        )
        self.name = f"sandbox:{count}" + (f"?{options}" if options else "")
        self.count, self.seed, self.size, self.single = count, seed, size, single

    @property
    def fingerprint(self) -> str:
        """Changes with the world, the series, the number and the size."""
        parts = [world_fingerprint(), self.count, self.seed, self.size, self.single]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def labels(self) -> Sequence[int]:
        """See `ImageSet`; the class of a scene is that of the thing in front."""
        return self._labels

    @property
    def classes(self) -> tuple[str, ...]:
        """See `ImageSet`; everything that the sandbox draws."""
        return tuple(load_lexicon().concepts)

    @property
    def templates(self) -> tuple[str, ...]:
        """See `ImageSet`; none."""
        return ()

    def __len__(self) -> int:
        """See `ImageSet`."""
        return self.count

    def __getitem__(self, index: int) -> Image.Image:
        """See `ImageSet`."""
        return render_scene(self.scene(check_index(index, self.count)), self.size)

    def __iter__(self) -> Iterator[Image.Image]:
        """See `ImageSet`."""
        return (self[index] for index in range(self.count))

    def describe(self, index: int) -> str:
        """See `ImageSet`."""
        return f"{self.name} scene {check_index(index, self.count)}"

    def digest(self, index: int) -> str:
        """See `ImageSet`."""
        number = check_index(index, self.count)
        parts = [world_fingerprint(), self.seed, self.size, self.single, number]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def scene(self, index: int) -> Scene:
        """Scene number `index`; its last item is what it is about."""
        lexicon = load_lexicon()
        rng = random.Random(f"images-{self.seed}-{index}")
        if not self.single:
            return sample_scene(rng, lexicon)
        classes = tuple(lexicon.concepts)
        return sample_scene(rng, lexicon, main=classes[index % len(classes)], extras=0)

    @cached_property
    def _labels(self) -> Sequence[int]:
        numbers = {name: number for number, name in enumerate(self.classes)}
        return tuple(numbers[self.label(index)] for index in range(self.count))

    def label(self, index: int) -> str:
        """Class name of scene number `index`."""
        return self.scene(index).items[-1].concept


def open_sandbox(
    place: str, *, single: bool = False, seed: int = 0, size: int = DRAWN_SIZE
) -> ImageSet:
    """The source `sandbox:N`: N drawn images.

    Args:
        place: How many, in digits.
        single: See `SandboxImages`.
        seed: See `SandboxImages`.
        size: See `SandboxImages`.

    Raises:
        ConfigError: If the number is missing or not positive, or the images would have no pixel.
    """
    if not (place.isascii() and place.isdecimal()) or int(place) < 1:
        raise ConfigError(
            f"'sandbox:{place}': write sandbox:N with the number of images, e.g. sandbox:2000"
        )
    if size < 1:
        raise ConfigError(f"'sandbox:{place}': size is the side in pixels, at least 1; got {size}")
    return SandboxImages(int(place), seed=seed, size=size, single=single)


def write_image_folder(images: SandboxImages, folder: Path) -> Path:
    """Write the set as `folder/CLASS/NUMBER.png`, with `metadata.jsonl` and `classes.txt` beside.

    A line of the metadata has file, class and scene; classes.txt has all classes of the sandbox.
    The metadata is written last, so a folder that has it is complete. When drawing is interrupted
    or fails, what was drawn is removed again.

    Raises:
        DataError: If the folder cannot be written.
    """
    drawn: list[Path] = []
    try:
        return _write_images(images, folder, drawn)
    except BaseException:
        for path in drawn:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for path in {path.parent for path in drawn}:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def _write_images(images: SandboxImages, folder: Path, drawn: list[Path]) -> Path:
    lines = []
    for index in range(len(images)):
        scene = images.scene(index)
        name = f"{scene.items[-1].concept}/{index:06d}.png"
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn.append(path)
            render_scene(scene, images.size).save(path)
        except OSError as error:
            raise DataError(f"cannot write {path} ({error}); choose another folder") from error
        record = {"file_name": name, "label": scene.items[-1].concept, "scene": scene.to_dict()}
        lines.append(json.dumps(record))
    write_atomic(folder / "classes.txt", "\n".join(images.classes) + "\n")
    write_atomic(folder / "metadata.jsonl", "\n".join(lines) + "\n")
    return folder / "metadata.jsonl"
