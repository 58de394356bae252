"""Cost of the lens's pass over images against plain `encode_image`, in one process.

Random weights: the cost does not depend on them. Run as ``python -m benchmarks.lens_speed``.
"""

import argparse
import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import open_clip
import torch

from advgen.lens import SecondOrderLens
from advgen.lens.directions import principal_directions
from advgen.models import OpenClipModel


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32", help="open_clip architecture")
    parser.add_argument("--layers", default="8-10", help="FIRST-LAST, a single layer, or 'all'")
    parser.add_argument("--images", type=int, default=64, help="images per repeat")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5, help="times that the images are run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--cpu-time", action="store_true", help="count CPU seconds (on a machine others share)"
    )
    parser.add_argument("--directions", action="store_true", help="also time the directions")
    return parser.parse_args(arguments)


def layers_of(text: str, count: int) -> list[int]:
    """Layers named on the command line; the last block has no later heads."""
    if text == "all":
        return list(range(count - 1))
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def seconds(action: Callable[[], object], clock: Callable[[], float]) -> float:
    """Time of one call by `clock`."""
    gc.collect()
    started = clock()
    action()
    return clock() - started


def peak_mib() -> float:
    """Largest resident set of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def print_ratio(
    options: argparse.Namespace, lens: SecondOrderLens, pairs: list[tuple[float, float]]
) -> None:
    """Print the cost of the pass from (plain, lens) seconds per batch, run in turns."""
    print(
        f"model {options.model}, layers {lens.layers[0]}-{lens.layers[-1]}, batches of "
        f"{options.batch}, {options.threads} threads, {len(pairs)} batches of each kind in turns"
    )
    plain = statistics.median(base for base, _ in pairs)
    ratios = sorted(ours / base for base, ours in pairs)
    quarter = len(ratios) // 4
    print(f"encode_image       {1000 * plain / options.batch:.1f} ms per image")
    print(
        f"alpha pass / encode_image: median {statistics.median(ratios):.3f}x, middle half "
        f"{ratios[quarter]:.3f}-{ratios[-1 - quarter]:.3f}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Print the ratio, its spread over alternating runs, and the memory."""
    options = parse(arguments)
    clock = time.process_time if options.cpu_time else time.perf_counter
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = open_clip.create_model(options.model, load_weights=False)
    clip = OpenClipModel(model, name=options.model)
    lens = SecondOrderLens(clip, layers_of(options.layers, clip.vision.layers))
    batches = torch.randn(options.images, 3, *clip.image_size).split(options.batch)

    clip.encode_image(batches[0])  # warm up
    lens.coefficients(batches[0])
    before = peak_mib()
    pairs = [
        (
            seconds(partial(clip.encode_image, pixels, normalize=False), clock),
            seconds(partial(lens.coefficients, pixels), clock),
        )
        for _ in range(options.repeats)
        for pixels in batches
    ]
    collected = lens.collect(batches)
    print_ratio(options, lens, pairs)
    stored = sum(table.nbytes for table in collected.tables.values()) / (1 << 20)
    print(
        f"coefficients kept  {stored:.0f} MiB; peak resident {before:.0f} -> {peak_mib():.0f} MiB"
    )
    if options.directions:
        taken = seconds(
            lambda: [
                principal_directions(table, lens.basis, layer)
                for layer, table in collected.tables.items()
            ],
            clock,
        )
        print(f"directions         {taken:.2f} s, peak resident {peak_mib():.0f} MiB")


if __name__ == "__main__":
    main()
