"""Table 4: zero-shot segmentation by second-order effects and by twelve other methods.

    python -m benchmarks.table4                  # the sandbox: results/table4.json and .png
    python -m benchmarks.table4 --preset paper --images imagenet-seg:PATH --lens-images imagenet:D

Every table names its protocol (reference: mask squashed, as published; aligned: mask cropped as the
image is), the threshold of the masks and whose class was asked for.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
from pathlib import Path
from typing import Any

from advgen.attack.progress import Progress
from advgen.cli.console import StderrProgress
from advgen.errors import AdvgenError
from advgen.evaluate.segmentation.masksets import load_mask_set
from advgen.evaluate.segmentation.metrics import THRESHOLDS
from advgen.evaluate.segmentation.opening import segmenter_inputs
from advgen.evaluate.segmentation.paper import SOURCE, TABLE_4
from advgen.evaluate.segmentation.protocol import open_segmenter
from advgen.evaluate.segmentation.settings import (
    CLASS_CHOICES,
    METHODS,
    PROTOCOLS,
    SegmentationConfig,
    segmentation_preset,
)
from advgen.evaluate.segmentation.walk import ClassTexts, Segmented, segment_masks
from advgen.experiments.output import print_lines, write_figure, write_result
from advgen.models import load_clip
from advgen.processes import local_device
from advgen.segmentation_plots import examples_figure
from advgen.store import ArtifactStore, default_store_root
from advgen.versions import installed_versions
from benchmarks.experiment import RESULTS
from benchmarks.table4_tables import (
    BASE,
    findings,
    json_rows,
    print_results,
    variants,
    with_tuned,
)

EXAMPLES = 6
_PACKAGES = ("advgen", "torch", "open_clip_torch", "numpy", "scikit-learn", "pillow")


def parser() -> argparse.ArgumentParser:
    """The command line; what is not given stays as the preset has it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--preset", default="sandbox", help="sandbox (default) or paper")
    add("--model", help="name, folder or file of a CLIP")
    add("--images", help="images with masks: sandbox:N or imagenet-seg:PATH")
    add("--limit", type=_positive, help="only the first N of these")
    add("--lens-images", help="image set of the neurons' directions")
    add("--methods", nargs="+", choices=METHODS, metavar="NAME", help=", ".join(METHODS))
    add("--protocol", choices=PROTOCOLS, help="default: both")
    add("--class", dest="class_choice", choices=CLASS_CHOICES, help="whose heat maps")
    add("--threshold", choices=THRESHOLDS, help="default: both")
    add("--no-ablation", action="store_true", help="leave out the options of second-order")
    add("--device", help="torch device (default: an accelerator if there is one)")
    add("--batch", type=_positive, help="images per call of a method")
    add("--seed", type=int, help="of the examples that are shown")
    add("--out", type=Path, default=RESULTS, help="folder of the JSON and PNG (benchmarks/results)")
    return parser


def configured(options: argparse.Namespace) -> SegmentationConfig:
    """The config that the options make.

    Raises:
        ConfigError: If a value cannot be used.
    """
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("model", "lens_images", "class_choice", "device", "seed")
    }
    given["masks"] = options.images
    given["batch_size"] = options.batch
    given["methods"] = tuple(options.methods) if options.methods else None
    given["protocols"] = (options.protocol,) if options.protocol else None
    given["thresholds"] = (options.threshold,) if options.threshold else None
    config = segmentation_preset(options.preset, **given)
    if options.limit is None:
        return config
    mark = "&" if "?" in config.masks else "?"
    return dataclasses.replace(config, masks=f"{config.masks}{mark}limit={options.limit}")


def measure(options: argparse.Namespace, progress: Progress) -> None:
    """Measure, print and keep."""
    config = configured(options)
    masks = load_mask_set(config.masks)
    progress.stage(f"loading {config.model}")
    device = local_device() if config.device == "auto" else config.device
    clip = load_clip(config.model, device=device)
    store = ArtifactStore(default_store_root())
    templates = ClassTexts(clip, masks, config.templates).templates
    inputs = segmenter_inputs(clip, config.lens, store, progress, templates)
    methods = {name: open_segmenter(name, inputs) for name in config.methods}
    ablated = not options.no_ablation and BASE in methods
    changed = variants(clip.vision.layers, masks.classes) if ablated else {}
    everything = methods | {
        name: open_segmenter(BASE, inputs, **changes) for name, changes in changed.items()
    }
    chosen = random.Random(f"examples-{config.seed}")
    keep = sorted(chosen.sample(range(len(masks)), min(EXAMPLES, len(masks))))
    found = segment_masks(masks, clip, everything, config, keep=keep, progress=progress)
    print_results(found, config, clip.name, masks.name, tuple(changed))
    lines = findings(found, config)
    print_lines([*lines, f"paper: {SOURCE}"])
    result = {
        "config": dataclasses.asdict(config),
        "model": {"name": clip.name, "weights_sha256": clip.weights_sha256},
        "masks": {
            "name": masks.name,
            "count": len(masks),
            "scored": found.images,
            "fingerprint": masks.fingerprint,
            "classes": len(masks.classes),
            "skipped": [{"index": s.index, "reason": s.reason} for s in found.skipped],
        },
        "templates": templates,
        "predicted_right": found.predicted_right,
        "protocols_coincide": found.coincide,
        "rows": json_rows(found, config.methods),
        "ablation": [
            {**row, "options": without_classes(changed[row["method"]])}
            for row in json_rows(found, list(changed))
        ],
        "findings": lines,
        "examples": keep,
        "paper": {"source": SOURCE, "rows": TABLE_4},
        "versions": installed_versions(_PACKAGES),
    }
    write_result(options.out, "table4", result)
    show_examples(options.out, found, with_tuned(config.methods, tuple(changed)))


def without_classes(options: dict[str, Any]) -> dict[str, Any]:
    """Options with "all classes" where these would be listed."""
    return options | ({"contrast": "all classes"} if options.get("contrast") else {})


def show_examples(out: Path, found: Segmented, methods: list[str]) -> None:
    """Write the examples as a picture beside the JSON."""
    if found.examples:
        write_figure(out / "table4.png", examples_figure(found.examples, methods), colors=256)


def main() -> None:
    """Run; a fault that the user can fix is one line."""
    commands = parser()
    options = commands.parse_args()
    try:
        with StderrProgress() as progress:
            measure(options, progress)
    except AdvgenError as error:
        sys.exit(f"{commands.prog}: {error}")


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    main()
