"""Drawing the images of one description: batch by batch, each image from its own seed.

An image that the synthesizer flagged, or that is black, is never kept: its reason is recorded and
another seed is tried, up to a bound; after that the image is given up, and the run goes on without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from advgen.config import AttackConfig
from advgen.generation.layout import Cell, RunLayout, decode_png, encode_png
from advgen.generation.protocols import Drawn, DrawRequest, Synthesizer
from advgen.records import Description
from advgen.seeds import derive_seed
from advgen.store import write_atomic

BLACK_LEVEL = 4


@dataclass(frozen=True, slots=True)
class Unit:
    """All images of one description.

    Attributes:
        cell: Pair, method and repeat.
        number: Place of the description among those of its cell that are drawn.
        description: What is drawn.
        images: How many images.
        round: Round of asking that the description comes from.
    """

    cell: Cell
    number: int
    description: Description
    images: int
    round: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """A usable image of a unit, as it lies on the disk.

    Attributes:
        index: Its number in the unit.
        image: RGB image.
        provenance: What the PNG carries: prompt, seed, truth, rejected draws before it.
    """

    index: int
    image: Image.Image
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What came of drawing a unit.

    Attributes:
        pictures: The usable images, by index.
        rejected: Draws that must not be scored: index, attempt, seed, reason.
        given_up: Indices for which no draw was usable.
    """

    pictures: list[Picture] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Artist:
    """Draws units into a run directory.

    Attributes:
        config: The attack.
        layout: Where images go.
        synthesizer: Draws.
    """

    config: AttackConfig
    layout: RunLayout
    synthesizer: Synthesizer

    def draw(self, unit: Unit) -> Drawing:
        """Draw what is missing of a unit, read the rest.

        The composition of a batch never changes, since on a GPU an image's last bits depend on its
        neighbours: a batch of which an image is missing is drawn again as a whole, and only the
        missing images are written.
        """
        drawing = Drawing()
        step = self.config.draw.batch_size
        for start in range(0, unit.images, step):
            self._batch(unit, range(start, min(start + step, unit.images)), drawing)
        drawing.rejected.sort(key=lambda entry: (entry["index"], entry["attempt"]))
        return drawing

    def seeds(self, unit: Unit, index: int) -> list[int]:
        """The seeds an image may be drawn from, in the order in which they are tried."""
        parts = (self.config.seed, unit.cell.slug, unit.description.id, unit.number, index)
        return [derive_seed(*parts, attempt) for attempt in range(self.config.draw.max_redraws + 1)]

    def _batch(self, unit: Unit, indices: Sequence[int], drawing: Drawing) -> None:
        seeds = {index: self.seeds(unit, index) for index in indices}
        kept = {index: _kept(self._path(unit, index), seeds[index]) for index in indices}
        whole = [Picture(index, *found) for index, found in kept.items() if found is not None]
        if len(whole) == len(indices):
            for picture in whole:
                drawing.pictures.append(picture)
                drawing.rejected.extend(
                    {"index": picture.index, **entry} for entry in picture.provenance["rejected"]
                )
            return
        refused: dict[int, list[dict[str, Any]]] = {index: [] for index in indices}
        pictures: dict[int, Picture] = {}
        pending = list(indices)
        for attempt in range(self.config.draw.max_redraws + 1):
            drawn = self._draw(unit, [seeds[index][attempt] for index in pending])
            for index, result in zip(list(pending), drawn, strict=True):
                seed = seeds[index][attempt]
                reason = fault_of(result)
                if reason is not None:
                    refused[index].append({"attempt": attempt, "seed": seed, "reason": reason})
                    continue
                pending.remove(index)
                found = kept[index] or self._keep(unit, index, seed, result, refused[index])
                pictures[index] = Picture(index, *found)
            if not pending:
                break
        drawing.pictures.extend(pictures[index] for index in sorted(pictures))
        drawing.given_up.extend(pending)
        drawing.rejected.extend(
            {"index": index, **entry} for index in indices for entry in refused[index]
        )

    def _draw(self, unit: Unit, seeds: list[int]) -> list[Drawn]:
        subject, size = unit.cell.pair.true_class, self.config.draw.size
        return self.synthesizer.draw(
            [DrawRequest(unit.description.text, subject, seed, size) for seed in seeds]
        )

    def _keep(
        self, unit: Unit, index: int, seed: int, drawn: Drawn, refused: list[dict[str, Any]]
    ) -> tuple[Image.Image, dict[str, Any]]:
        provenance = {
            "prompt": unit.description.text,
            "subject": unit.cell.pair.true_class,
            "seed": seed,
            "synthesizer": f"{self.synthesizer.name}@{self.synthesizer.revision}",
            "licence": self.synthesizer.licence,
            "batch_size": self.config.draw.batch_size,
            "undrawn": list(drawn.undrawn),
            "truth": dict(drawn.truth),
            "details": dict(drawn.details),
            "rejected": list(refused),
        }
        write_atomic(self._path(unit, index), encode_png(drawn.image, provenance))
        return drawn.image, provenance

    def _path(self, unit: Unit, index: int) -> Path:
        return self.layout.image(unit.cell, unit.number, index)


def fault_of(drawn: Drawn) -> str | None:
    """Why an image must not be scored, or None."""
    return drawn.rejected or ("black" if is_black(drawn.image) else None)


def is_black(image: Image.Image) -> bool:
    """True when no pixel is brighter than a trace: what a safety checker makes of an image."""
    return int(np.asarray(image.convert("L")).max(initial=0)) <= BLACK_LEVEL


def _kept(path: Path, seeds: list[int]) -> tuple[Image.Image, dict[str, Any]] | None:
    """The image drawn before from one of these seeds; None when it is lost, damaged or another."""
    if not path.is_file():
        return None
    try:
        image, provenance = decode_png(path.read_bytes())
    except ValueError:
        return None
    return (image, provenance) if provenance.get("seed") in seeds else None
