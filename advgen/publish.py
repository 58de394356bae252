"""Writing what people look at into a finished run: `report.html` and `contact.png`."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from advgen.attack import Outcome
from advgen.config import AttackConfig, attack_table
from advgen.contact import contact_sheet
from advgen.imagesets import open_image
from advgen.records import Sample
from advgen.report import ReportData, render_report
from advgen.store import write_atomic

PALETTE = 192
"""Colours of the contact sheet: a third of the bytes, and no difference to the eye."""


def publish(config: AttackConfig, outcome: Outcome) -> list[Path]:
    """Write the report and the contact sheet of a run.

    Returns:
        The files written.
    """
    root = outcome.layout.root
    data = ReportData(
        title=", ".join(f"{pair.true_class} \u2192 {pair.target_class}" for pair in config.pairs),
        config=attack_table(config),
        manifest=outcome.manifest,
        words=outcome.words,
        samples=outcome.samples,
        results=[result.to_json() for result in outcome.results],
    )

    def image_bytes(sample: Sample) -> bytes:
        return (root / sample.path).read_bytes()

    def picture(sample: Sample) -> Image.Image:
        return open_image(root / sample.path)

    write_atomic(outcome.layout.report, render_report(data, image_bytes=image_bytes))
    buffer = io.BytesIO()
    sheet = contact_sheet(outcome.samples, picture).quantize(PALETTE)
    sheet.save(buffer, format="PNG", optimize=True)
    write_atomic(outcome.layout.contact, buffer.getvalue())
    return [outcome.layout.report, outcome.layout.contact]
