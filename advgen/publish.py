"""Writing what people look at into a finished run: `report.html` and `contact.png`."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from advgen.attack import Outcome
from advgen.attack.opening import open_model
from advgen.attack.words import pair_classes
from advgen.config import AttackConfig, attack_table
from advgen.contact import contact_sheet
from advgen.errors import AdvgenError, DataError
from advgen.gallery import MAP_SIDE, MappedImage, choose_mapped, image_uri, marked_description
from advgen.heatmap_overlay import overlay, peak_of, seen_image
from advgen.imagesets import open_image
from advgen.records import ClassPair, Sample
from advgen.report import ReportData, render_report
from advgen.scoring.heatmap import run_heatmap
from advgen.store import write_atomic

PALETTE = 192
"""Colours of the contact sheet: a third of the bytes, and no difference to the eye."""
MAP_QUALITY = 72
"""Of the WebP pictures of heat maps: they are small and have soft edges."""


def publish(config: AttackConfig, outcome: Outcome) -> list[Path]:
    """Write the report and the contact sheet of a run.

    The attacked model is loaded once more for the heat maps: the run has let go of it, and a run
    that was finished before never had it.

    Returns:
        The files written.
    """
    root = outcome.layout.root

    def image_bytes(sample: Sample) -> bytes:
        return (root / sample.path).read_bytes()

    def picture(sample: Sample) -> Image.Image:
        return open_image(root / sample.path)

    mapped, unmapped = map_images(config, outcome.samples, picture)
    data = ReportData(
        title=", ".join(f"{pair.true_class} \u2192 {pair.target_class}" for pair in config.pairs),
        config=attack_table(config),
        manifest=outcome.manifest,
        words=outcome.words,
        samples=outcome.samples,
        results=[result.to_json() for result in outcome.results],
        mapped=mapped,
        unmapped=unmapped,
    )
    write_atomic(outcome.layout.report, render_report(data, image_bytes=image_bytes))
    buffer = io.BytesIO()
    sheet = contact_sheet(outcome.samples, picture).quantize(PALETTE)
    sheet.save(buffer, format="PNG", optimize=True)
    write_atomic(outcome.layout.contact, buffer.getvalue())
    return [outcome.layout.report, outcome.layout.contact]


def map_images(
    config: AttackConfig, samples: Sequence[Sample], picture: Callable[[Sample], Image.Image]
) -> tuple[list[MappedImage], str]:
    """Both heat maps of the images that fooled the model most, or why there are none.

    The second-order maps count the neurons of the config's layers. A report without heat maps is
    better than none, so a model that has none (a ResNet, patches in no square) is no fault here.

    Args:
        config: Of the run.
        samples: Its rows.
        picture: Gives the image of a row; one that cannot be read is left out.

    Returns:
        The images; and an empty text, or the reason in one sentence.
    """
    chosen = choose_mapped(samples)
    if not chosen:
        return [], "no image fooled the model." if samples else ""
    try:
        clip = open_model(config)
        classes = pair_classes(config, clip)
        mapped = []
        for sample in chosen:
            try:
                image = seen_image(clip, picture(sample))
            except (DataError, OSError):
                continue
            true, target = classes[ClassPair(sample.true_class, sample.target_class)]
            pixels, contrast = clip.preprocess(image)[None], target - true
            first, second = (
                run_heatmap(kind, clip, pixels, contrast, config.lens)
                for kind in ("first-order", "second-order")
            )
            original, first_uri, second_uri = (
                image_uri(shown, MAP_SIDE, MAP_QUALITY)
                for shown in (image, overlay(image, first), overlay(image, second))
            )
            mapped.append(
                MappedImage(
                    sample=sample,
                    picture=original,
                    first_order=first_uri,
                    second_order=second_uri,
                    first_sum=float(first.double().sum()),
                    second_sum=float(second.double().sum()),
                    first_peak=peak_of(first),
                    second_peak=peak_of(second),
                    description=marked_description(sample),
                )
            )
    except (AdvgenError, ValueError) as error:
        return [], str(error)
    return mapped, "" if mapped else "none of the images can be read."
