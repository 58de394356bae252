"""Cost of an evaluation's own scoring against plain `encode_image` on the same images.

    python -m benchmarks.speed.evaluation                       # ViT-B-32, drawn images of 256 px
    python -m benchmarks.speed.evaluation --model sandbox-a --photos DIR --workers 0 --workers 1

The evaluation reads PNG bytes out of Parquet, checks their hash, decodes, preprocesses and encodes
(`advgen.evaluate.robustness.scores.score_model`); the plain loop encodes the same images, already
preprocessed, in the same batches. The two take turns in one process, so that a ratio is of
neighbouring moments. Where reading is slower than the model no reading ahead hides it, so what
reading alone costs is measured too, part by part.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image

from advgen.evaluate.robustness.dataset import DataRow, RobustnessData
from advgen.evaluate.robustness.row_images import RowImages
from advgen.evaluate.robustness.scores import Questions, row_questions, score_model
from advgen.imagesets import load_image_set
from advgen.imagesets.batches import PixelBatches
from advgen.models import ClipModel, load_clip
from advgen.records import ClassPair
from benchmarks.speed.measure import Clock, clock_of, keep, middle, random_clip, seconds

BAR = 1 / 0.9
"""Images per second within 10 % of the plain loop."""
ROW_GROUP = 100


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="ViT-B-32", help="open_clip architecture, or any name")
    parser.add_argument("--images", type=int, default=64, help="rows per repeat")
    parser.add_argument("--size", type=int, default=256, help="side of the drawn images")
    parser.add_argument("--photos", default="", help="folder of photographs; else drawn images")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, action="append", help="repeatable; default: 0")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true", help="CPU seconds (not with workers)")
    parser.add_argument("--json", default="", help="also write the figures to this file")
    return parser.parse_args(arguments)


def model_of(name: str, device: str) -> ClipModel:
    """Random weights for an architecture, else the model of that name."""
    if name not in open_clip.list_models():
        return load_clip(name, device=device)
    clip = random_clip(name)
    clip.model.to(device)
    return clip


def pictures(photos: str, images: int, size: int) -> list[Image.Image]:
    """Photographs, again and again until there are enough, or drawn scenes."""
    if not photos:
        drawn = load_image_set(f"sandbox:{images}?size={size}")
        return [drawn[number] for number in range(images)]
    found = load_image_set(photos)
    return [found[number % len(found)] for number in range(images)]


def as_data(images: list[Image.Image], folder: Path) -> RobustnessData:
    """Rows with PNG cells in one Parquet file, as `advgen dataset build` writes them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells, rows = [], []
    for number, image in enumerate(images):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        data = buffer.getvalue()
        cells.append({"bytes": data, "path": None})
        rows.append(_row(number, hashlib.sha256(data).hexdigest()))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(cells, kind)})
    path = folder / "test-00000-of-00001.parquet"
    pq.write_table(table, path, row_group_size=ROW_GROUP)
    read = RowImages([path], [(row.id, row.sha256) for row in rows], "benchmark")
    return RobustnessData("benchmark", tuple(rows), read, "", False)


def _row(number: int, sha256: str) -> DataRow:
    pair, prompts = ClassPair("dog", "deer"), ("a photo of {article} {noun}.",)
    return DataRow(
        str(number), pair, str(number), "none", "", 0.0, False, sha256, prompts, True, "sandbox"
    )


def plain_loop(clip: ClipModel, batches: list[torch.Tensor]) -> None:
    """What the evaluation is held against; the result is waited for."""
    for pixels in batches:
        clip.encode_image(pixels).cpu()


def read_all(clip: ClipModel, questions: Questions, batch: int) -> list[torch.Tensor]:
    """Everything but the model: Parquet, hash, PNG, preprocessing."""
    batches = PixelBatches(questions.images, clip.preprocess, batch)
    return [found.pixels for found in batches.read(range(len(batches)))]


def parts_of_reading(clip: ClipModel, data: RobustnessData, clock: Clock) -> dict[str, float]:
    """Milliseconds per image: bytes and hash and PNG, then preprocessing."""
    opened: list[Image.Image] = []
    count = len(data.rows)
    decode = seconds(
        lambda: opened.extend(data.images[n].convert("RGB") for n in range(count)), clock
    )
    prepare = seconds(lambda: [clip.preprocess(image) for image in opened], clock)
    return {"bytes_hash_png_ms": 1000 * decode / count, "preprocess_ms": 1000 * prepare / count}


def measure(
    clip: ClipModel, data: RobustnessData, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Interleaved repeats of plain loop and evaluation, for each number of workers."""
    clock, questions = clock_of(arguments.cpu_time), row_questions(data)
    batches = read_all(clip, questions, arguments.batch)
    plain = partial(plain_loop, clip, batches)
    plain()  # warm up
    found = []
    for workers in arguments.workers or [0]:
        score = partial(score_model, clip, questions, batch_size=arguments.batch, workers=workers)
        found.append(_turns(plain, score, clock, arguments, workers))
    return found


def _turns(
    plain: Callable[[], object],
    score: Callable[[], object],
    clock: Clock,
    arguments: argparse.Namespace,
    workers: int,
) -> dict[str, Any]:
    score()  # warm up
    pairs = [(seconds(plain, clock), seconds(score, clock)) for _ in range(arguments.repeats)]
    ratio, low, high = middle([ours / bare for bare, ours in pairs])
    count = arguments.images
    return {
        "workers": workers,
        "ratio": ratio,
        "ratio_quartiles": [low, high],
        "plain_images_per_s": count / middle([bare for bare, _ in pairs])[0],
        "evaluation_images_per_s": count / middle([ours for _, ours in pairs])[0],
        "load": os.getloadavg()[0],
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    clip = model_of(options.model, options.device)
    with tempfile.TemporaryDirectory() as folder:
        data = as_data(pictures(options.photos, options.images, options.size), Path(folder))
        parts = parts_of_reading(clip, data, clock_of(options.cpu_time))
        found = measure(clip, data, options)
    kind = "photographs" if options.photos else f"drawn images of {options.size} px"
    print(
        f"{options.model}, {options.images} {kind}, batches of {options.batch}, "
        f"{options.threads} threads, {'CPU' if options.cpu_time else 'wall'} seconds"
    )
    for row in found:
        low, high = row["ratio_quartiles"]
        print(
            f"  {row['workers']} workers: evaluation / plain loop {row['ratio']:.3f} (bar "
            f"{BAR:.3f}), middle half {low:.3f}-{high:.3f}; plain "
            f"{row['plain_images_per_s']:.1f}, evaluation {row['evaluation_images_per_s']:.1f} "
            f"images/s; load {row['load']:.1f}"
        )
    print(
        f"  reading alone: {parts['bytes_hash_png_ms']:.2f} ms per image for bytes, hash and PNG, "
        f"{parts['preprocess_ms']:.2f} ms for preprocessing"
    )
    keep(options.json, {"options": vars(options), "parts": parts, "measured": found})


if __name__ == "__main__":
    main()
