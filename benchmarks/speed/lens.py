"""Cost of the lens's pass over images against plain `encode_image`, in one process.

    python -m benchmarks.speed.lens                            # ViT-B-32, layers 8-10 and all
    python -m benchmarks.speed.lens --model ViT-L-14 --images 250 --layers all --photos DIR

Random weights at the real size: the cost does not depend on them. Plain and lens passes take turns
on the same batches, so that a ratio is of two neighbouring moments. `--cpu-time` counts CPU
seconds, for a machine that others share.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from advgen.lens import SecondOrderLens, principal_directions
from benchmarks.speed.measure import (
    Clock,
    clock_of,
    keep,
    middle,
    peak_mib,
    pixel_batches,
    random_clip,
    seconds,
)

BARS = {"last": 1.10, "all": 1.30}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="ViT-B-32", help="open_clip architecture")
    parser.add_argument(
        "--layers",
        action="append",
        help="'last' (the last three), 'all' or FIRST-LAST; repeatable; default: last and all",
    )
    parser.add_argument("--images", type=int, default=64, help="images per repeat")
    parser.add_argument("--photos", default="", help="folder of photographs; else random pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5, help="times that the images are run")
    parser.add_argument("--pairs", type=int, default=0, help="at most so many turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds")
    parser.add_argument("--no-directions", action="store_true", help="time the pass alone")
    parser.add_argument("--json", default="", help="also write the figures to this file")
    return parser.parse_args(arguments)


def layers_of(text: str, count: int) -> list[int]:
    """Layers named on the command line; the last block has no later heads."""
    if text == "all":
        return list(range(count - 1))
    if text == "last":
        return list(range(max(0, count - 4), count - 1))
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def measure_pass(
    lens: SecondOrderLens, batches: Sequence[torch.Tensor], clock: Clock
) -> dict[str, Any]:
    """Seconds per image of both kinds of pass, and their ratio batch by batch."""
    plain_pass = partial(lens.clip.encode_image, normalize=False)
    plain_pass(batches[0])  # warm up
    lens.coefficients(batches[0])
    pairs = []
    for pixels in batches:
        plain = seconds(partial(plain_pass, pixels), clock)
        pairs.append((plain, seconds(partial(lens.coefficients, pixels), clock)))
    ratio, low, high = middle([ours / plain for plain, ours in pairs])
    return {
        "encode_image_ms": 1000 * statistics.median(p for p, _ in pairs) / len(batches[0]),
        "ratio": ratio,
        "ratio_quartiles": [low, high],
        "pairs": len(pairs),
    }


def measure_directions(
    lens: SecondOrderLens, batches: Sequence[torch.Tensor], clock: Clock
) -> dict[str, Any]:
    """Seconds of one whole pass with storage, and of the directions from what it stored."""
    before = peak_mib()
    kept: list[Any] = []
    stored = seconds(lambda: kept.append(lens.collect(batches)), clock)
    tables = kept[0].tables
    taken = seconds(
        lambda: [principal_directions(table, lens.basis, layer) for layer, table in tables.items()],
        clock,
    )
    return {
        "pass_s": stored,
        "directions_s": taken,
        "directions_over_pass": taken / stored,
        "stored_mib": sum(t.nbytes for t in tables.values()) / (1 << 20),
        "peak_before_mib": before,
        "peak_mib": peak_mib(),
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print one setting's figures."""
    low, high = found["ratio_quartiles"]
    bar = f" (bar {BARS[name]:.2f})" if name in BARS else ""
    print(
        f"layers {found['layers'][0]}-{found['layers'][-1]}: lens pass / encode_image "
        f"{found['ratio']:.3f}{bar}, middle half {low:.3f}-{high:.3f}, {found['pairs']} pairs; "
        f"encode_image {found['encode_image_ms']:.1f} ms per image"
    )
    if "directions_s" in found:
        print(
            f"  pass with storage {found['pass_s']:.1f} s, directions from it "
            f"{found['directions_s']:.1f} s ({found['directions_over_pass']:.2f} of the pass); "
            f"{found['stored_mib']:.0f} MiB stored; peak resident {found['peak_before_mib']:.0f} "
            f"-> {found['peak_mib']:.0f} MiB"
        )


def main(arguments: list[str] | None = None) -> None:
    """Print the ratios, their spread over turns, and the memory."""
    options = parse(arguments)
    clock = clock_of(options.cpu_time)
    torch.set_num_threads(options.threads)
    clip = random_clip(options.model)
    batches, what = pixel_batches(clip, options.photos, options.images, options.batch)
    print(
        f"{options.model}, {what} in batches of {options.batch}, {options.threads} threads, float32"
        + (", CPU seconds" if options.cpu_time else "")
    )
    turns = (batches * options.repeats)[: options.pairs or None]
    result: dict[str, Any] = {"model": options.model, "images": what, "settings": {}}
    for name in options.layers or ["last", "all"]:
        lens = SecondOrderLens(clip, layers_of(name, clip.vision.layers))
        found = {
            "layers": list(lens.layers),
            **measure_pass(lens, turns, clock),
        }
        if not options.no_directions:
            found |= measure_directions(lens, batches, clock)
        result["settings"][name] = found
        show(name, found)
    keep(options.json, {**result, "threads": options.threads, "cpu_time": options.cpu_time})


if __name__ == "__main__":
    main()
