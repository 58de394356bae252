"""One pass of the tower over an image set, for all layers at once, within a budget of bytes.

The coefficients are held in memory where they are small, else in scratch files. Where the disk does
not hold them either, `advgen.lens.two_pass` finds directions without keeping them.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advgen.errors import StoreError
from advgen.imagesets.batches import PixelBatches, Skipped, require_some_readable
from advgen.lens.scratch import Scratch
from advgen.lens.second_order import CollectedEffects, SecondOrderLens
from advgen.processes import OneProcess, Processes

_ALONE = OneProcess()


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes that the coefficients of one pass may take.

    Args:
        memory: Held in memory, all layers together.
        disk: In scratch files; also never more than nine tenths of what is free.
        dtype: Number format kept.
    """

    memory: int = 256 << 20
    disk: int = 64 << 30
    dtype: torch.dtype = torch.float16


DEFAULT_BUDGET = Budget()


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """The effects of an image set, and the images that could not be read.

    Args:
        effects: Coefficients and embeddings of the readable images, in order.
        skipped: The others.
        discard: Deletes the scratch files, where there are any.
    """

    effects: CollectedEffects
    skipped: tuple[Skipped, ...]
    discard: Callable[[], None] = lambda: None


def pass_bytes(lens: SecondOrderLens, images: int, dtype: torch.dtype) -> int:
    """Bytes of the coefficients of `images` images, all layers of the lens together."""
    columns = sum(lens.basis.size(layer) for layer in lens.layers)
    return images * columns * lens.tower.neurons * dtype.itemsize


def fits_disk(lens: SecondOrderLens, images: int, folder: Path, budget: Budget) -> bool:
    """Whether scratch files in `folder` stay within the budget and the free space."""
    needed = pass_bytes(lens, images, budget.dtype)
    existing = next(parent for parent in [folder, *folder.parents] if parent.exists())
    used = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    return needed <= min(budget.disk, (shutil.disk_usage(existing).free + used) * 9 // 10)


def collect_images(
    lens: SecondOrderLens,
    source: PixelBatches,
    folder: Path,
    fields: Mapping[str, Any],
    *,
    budget: Budget = DEFAULT_BUDGET,
    processes: Processes = _ALONE,
    advance: Callable[[int], None] = lambda images: None,
) -> Collection:
    """Coefficients of every readable image: resumable, and shared between processes.

    Small sets are held in memory when one process does them. Otherwise each process takes every
    N-th batch and writes it to its place in scratch files, so the result does not depend on how
    many there are; batches that an interrupted call finished are not passed again.

    Args:
        lens: The lens.
        source: Preprocessed images by batch.
        folder: Scratch folder of this job.
        fields: Everything that determines the numbers, see `Scratch`.
        budget: Bytes that may be used.
        processes: Who shares the work.
        advance: Told how many images were done.

    Raises:
        DataError: If no image could be read.
        StoreError: If there is no room for the files.
    """
    images = len(source.images)
    if processes.count == 1 and pass_bytes(lens, images, budget.dtype) <= budget.memory:
        return _in_memory(lens, source, budget, advance)
    if not fits_disk(lens, images, folder, budget):
        raise StoreError(
            f"the lens's coefficients of {images} images need "
            f"{pass_bytes(lens, images, budget.dtype) >> 20} MiB at {folder}, more than the budget "
            "or the free space: use fewer images or layers, or set ADVGEN_CACHE to a larger disk"
        )
    scratch = Scratch(
        folder,
        fields,
        {layer: (lens.tower.neurons, lens.basis.size(layer)) for layer in lens.layers},
        images=images,
        batch_size=source.batch_size,
        embed=lens.tower.embed_dim,
        dtype=budget.dtype,
    )
    if processes.rank == 0:
        scratch.begin()
    processes.wait()
    missing = scratch.missing()
    size = source.batch_size
    advance(images - sum(min(size, images - number * size) for number in missing))
    processes.wait()  # nobody writes before everybody has read what is missing
    mine = missing[processes.rank :: processes.count]
    for number, batch in zip(mine, source.read(mine), strict=True):
        readable = lens.coefficients(batch.pixels) if batch.indices else None
        scratch.put(number, batch, readable)
        advance((len(batch.indices) + len(batch.skipped)) * processes.count)
    processes.wait()
    skipped = scratch.skipped()
    require_some_readable(source.images, skipped)
    effects = CollectedEffects(scratch.tables(), scratch.representation())
    return Collection(effects, tuple(skipped), scratch.remove)


def _in_memory(
    lens: SecondOrderLens,
    source: PixelBatches,
    budget: Budget,
    advance: Callable[[int], None],
) -> Collection:
    tables = lens.empty_tables(budget.dtype, budget.memory)
    representations, skipped = [], []
    for batch in source.read(range(len(source))):
        skipped += batch.skipped
        if batch.indices:
            found = lens.coefficients(batch.pixels)
            representations.append(found.representation.cpu())
            for layer in lens.layers:
                tables[layer].append(found.alpha.pop(layer), torch.tensor(batch.indices))
        advance(len(batch.indices) + len(batch.skipped))
    require_some_readable(source.images, skipped)
    return Collection(CollectedEffects(dict(tables), torch.cat(representations)), tuple(skipped))
