"""Clocks and memory for the speed benchmarks, and the images that they run on."""

from __future__ import annotations

import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch

from advgen.imagesets import load_image_set
from advgen.imagesets.batches import PixelBatches
from advgen.models import OpenClipModel
from advgen.store import write_atomic

Clock = Callable[[], float]


def random_clip(architecture: str) -> OpenClipModel:
    """An architecture at its real size with random weights: the cost does not depend on them."""
    torch.manual_seed(0)
    return OpenClipModel(
        open_clip.create_model(architecture, load_weights=False), name=architecture
    )


def pixel_batches(
    clip: OpenClipModel, photos: str, images: int, batch: int
) -> tuple[list[torch.Tensor], str]:
    """Preprocessed photographs in batches and what they are; random pixels without a folder."""
    if not photos:
        pixels = torch.randn(images, 3, *clip.image_size)
        return list(pixels.split(batch)), f"{images} random images"
    chosen = load_image_set(f"{photos}?limit={images}")
    batches = PixelBatches(chosen, clip.preprocess, batch)
    return [found.pixels for found in batches], f"{len(chosen)} photographs"


def seconds(action: Callable[[], object], clock: Clock) -> float:
    """Time of one call by `clock`."""
    gc.collect()
    started = clock()
    action()
    return clock() - started


def clock_of(cpu_time: bool) -> Clock:
    """CPU seconds of this process, or wall-clock seconds."""
    return time.process_time if cpu_time else time.perf_counter


def peak_mib() -> float:
    """Largest resident set of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return statistics.median(ordered), ordered[quarter], ordered[-1 - quarter]


def keep(path: str, result: dict[str, Any]) -> None:
    """Write a result as JSON where the user asked for it."""
    if path:
        write_atomic(Path(path), json.dumps(result, indent=1) + "\n")
