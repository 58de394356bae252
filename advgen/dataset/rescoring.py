"""Scoring and drawing a sample of a dataset again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from advgen.dataset.findings import Finding, finding
from advgen.dataset.redraw import pixels_sha256, redraw
from advgen.errors import AdvgenError
from advgen.generation.layout import decode_png

TOLERANCE = 1e-4
"""Largest difference of a margin: batches of another size and other hardware move the last bits."""


def check_margins(rows: Sequence[Mapping[str, Any]], build: Mapping[str, Any]) -> Finding:
    """Score rows again with the attacked model, where it is here with the same weights.

    Args:
        rows: Rows after `features`, images as bytes.
        build: `build.json`, for the class templates of each run.
    """
    faults: list[str] = []
    skipped: list[str] = []
    largest, scored = 0.0, 0
    for (name, weights), group in sorted(_by_model(rows).items()):
        try:
            clip = _open(name)
        except AdvgenError as error:
            skipped.append(str(error))
            continue
        if clip.weights_sha256 != weights:
            skipped.append(f"the {name} that is here has other weights than the attacked one")
            continue
        for row in group:
            try:
                found = _margin(clip, row, build)
            except (KeyError, TypeError, ValueError, OSError) as error:
                faults.append(f"{row['id']} cannot be scored ({error})")
                continue
            largest = max(largest, abs(found - row["margin"]))
            scored += 1
            if abs(found - row["margin"]) > TOLERANCE:
                faults.append(f"{row['id']}: margin {row['margin']:.6f}, scored {found:.6f}")
    if not faults and not scored:
        why = "; ".join(dict.fromkeys(skipped)) or "no image was asked for"
        return Finding("margins", "not checked", why)
    rest = f"; not scored: {'; '.join(dict.fromkeys(skipped))}" if skipped else ""
    return finding("margins", faults, f"{scored} scored again, off by {largest:.1e} at most{rest}")


def check_redraws(rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Draw rows of the sandbox again and compare pixels; other synthesizers need their models."""
    drawn = [row for row in rows if row["synthesizer"]["name"] == "sandbox"]
    if not drawn:
        others = sorted({row["synthesizer"]["name"] for row in rows})
        why = (
            f"only the sandbox is drawn again here, not {', '.join(others)}"
            if others
            else ("no image was asked for")
        )
        return Finding("redraw", "not checked", why)
    faults = []
    for row in drawn:
        try:
            same = pixels_sha256(redraw(row)) == pixels_sha256(row["image"]["bytes"])
        except (AdvgenError, KeyError, TypeError, ValueError, OSError) as error:
            faults.append(f"{row['id']}: {error}")
            continue
        faults += [] if same else [f"{row['id']}: drawn again it has other pixels"]
    return finding("redraw", faults, f"{len(drawn)} drawn again, pixels equal")


def _by_model(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for row in rows:
        model = row["attacked_model"]
        groups[model["name"], model["weights_sha256"]].append(row)
    return groups


def _open(name: str) -> Any:
    from advgen.models import load_clip

    return load_clip(name)


def _margin(clip: Any, row: Mapping[str, Any], build: Mapping[str, Any]) -> float:
    from advgen.scoring import class_embeddings, score_pair

    templates = {run["run_id"]: run["config"]["model"]["templates"] for run in build["runs"]}
    classes = class_embeddings(
        clip, (row["true_class"], row["target_class"]), tuple(templates[row["run_id"]])
    )
    image, _ = decode_png(row["image"]["bytes"])
    embedding = clip.encode_image(clip.preprocess(image).unsqueeze(0))
    (score,) = score_pair(embedding, classes, clip.logit_scale)
    return score.margin
