"""What `benchmarks.table4` prints and writes: its tables, its ablation, its findings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from advgen.evaluate.segmentation.metrics import METRICS, MaskScores, Metric, Threshold, compare
from advgen.evaluate.segmentation.paper import TABLE_4
from advgen.evaluate.segmentation.settings import Protocol, SegmentationConfig
from advgen.evaluate.segmentation.walk import Segmented
from advgen.experiments.output import percent, print_table
from advgen.experiments.paired import Paired

BASE = "second-order"
NAMES: dict[Metric, str] = {
    "pixel_accuracy": "PixAcc",
    "mean_iou": "mIoU",
    "mean_precision": "mAP",
}


TUNED = "second-order, tuned"
_SANDBOX_LAYERS = 6
_TUNED = {"layers": [1, 2], "neurons": 50}
"""Chosen on sandbox-a with other scenes (sandbox:160?seed=11; docs/lab-log.md)."""


def variants(layers: int, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Row of the ablation -> options of the second-order method; the rest is as in the paper.

    Args:
        layers: Of the model's tower; the last but one is the last with a later attention layer.
        classes: All classes of the images, for rows that contrast the class with them. The tuned
            row is there for towers like those that it was tuned on.
    """
    last = layers - 2
    effect = {"maps": "effect"}
    ours = {**effect, "rectify": "positive", "contrast": list(classes)}
    early = {"layers": _TUNED["layers"]}
    steps = {
        TUNED: {**ours, **_TUNED},
        "tuned layers": early,
        "tuned layers, effect": {**effect, **early},
        "tuned layers, effect, positive": {**effect, **early, "rectify": "positive"},
        "tuned layers, effect, positive, contrast": {**ours, **early},
    }
    tuned = steps if layers == _SANDBOX_LAYERS else {}
    return tuned | {
        "50 neurons": {"neurons": 50},
        "800 neurons": {"neurons": 800},
        f"layer {last} alone": {"layers": [last]},
        f"layers 0 to {last}": {"layers": list(range(last + 1))},
        "positive neurons": {"choice": "positive"},
        "variance choice": {"choice": "variance"},
        "signed": {"signed": True},
        "weights |<r,c>|": {"weights": "alignment"},
        "weights variance": {"weights": "variance"},
        "signed, weights both": {"signed": True, "weights": "both"},
        "scaled": {"scale": "deviation"},
        "signed, scaled": {"signed": True, "scale": "deviation"},
        "empty image off": {"baseline": "empty"},
        "signed, empty off": {"signed": True, "baseline": "empty"},
        "effect": effect,
        "effect, all neurons": {**effect, "neurons": 10**6},
        "effect, positive": {**effect, "rectify": "positive"},
        "effect, empty off": {**effect, "baseline": "empty"},
        "effect, positive, contrast": ours,
    }


def print_results(
    found: Segmented,
    config: SegmentationConfig,
    model: str,
    masks: str,
    variants: Sequence[str],
) -> None:
    """A table per protocol and threshold, then the ablation's."""
    for protocol in shown_protocols(found, config):
        for threshold in config.thresholds:
            said = f"protocol {_protocols(found, config, protocol)}, {_said(config, threshold)}"
            print_table(
                f"Segmentation (%): {model}, {found.images} images of {masks}; {said}\n"
                f"(lead: {BASE} minus the row, with its 95 % interval)",
                _header("paper"),
                [
                    _row(found, name, protocol, threshold, paper=True)
                    for name in ordered(
                        found, with_tuned(config.methods, variants), protocol, threshold
                    )
                ],
            )
            if variants:
                print_table(
                    f"Options of {BASE}; {said}",
                    _header(),
                    [
                        _row(found, name, protocol, threshold, paper=False)
                        for name in (BASE, *variants)
                    ],
                )


def with_tuned(methods: Sequence[str], variants: Sequence[str]) -> list[str]:
    """The methods, and the tuned second-order method where it was asked."""
    return [*methods, *(name for name in variants if name == TUNED)]


def shown_protocols(found: Segmented, config: SegmentationConfig) -> tuple[Protocol, ...]:
    """The protocols with figures of their own: one where all masks coincide."""
    return config.protocols[:1] if found.coincide else config.protocols


def ordered(
    found: Segmented, methods: Sequence[str], protocol: Protocol, threshold: Threshold
) -> list[str]:
    """The methods by mAP, best first."""
    scores = {name: found.row(name, protocol, threshold).mean_precision for name in methods}
    return sorted(methods, key=lambda name: -scores[name])


def json_rows(found: Segmented, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Plain values of every row of some methods, with second-order minus it where that is there."""
    rows = []
    for row in found.rows:
        if row.method not in methods:
            continue
        background, foreground = row.scores.class_iou
        rows.append(
            {
                "method": row.method,
                "protocol": row.protocol,
                "threshold": row.threshold,
                **{metric: getattr(row.scores, metric) for metric in METRICS},
                "iou_background": background,
                "iou_foreground": foreground,
                "base_minus_this": {
                    metric: dataclasses.asdict(change)
                    for metric, change in _against(found, row.scores, row).items()
                },
            }
        )
    return rows


def findings(found: Segmented, config: SegmentationConfig) -> list[str]:
    """What the figures say about the paper's claim that second-order effects segment best."""
    lines = []
    if found.coincide and len(config.protocols) > 1:
        lines.append(
            "the protocols reference and aligned coincide on these images: they are square, and "
            "the model sees all of them"
        )
    if found.predicted_right == found.predicted_right:
        lines.append(f"the model's class is the true one for {percent(found.predicted_right)} %")
    if BASE not in config.methods or len(config.methods) == 1:
        return lines
    ours = [BASE, *(row.method for row in found.rows if row.method == TUNED)]
    for name in dict.fromkeys(ours):
        for protocol in shown_protocols(found, config):
            for threshold in config.thresholds:
                lines.append(_standing(found, config, protocol, threshold, name))
    return lines


def _standing(
    found: Segmented,
    config: SegmentationConfig,
    protocol: Protocol,
    threshold: Threshold,
    ours: str,
) -> str:
    base = found.row(ours, protocol, threshold)
    places = []
    for metric, name in NAMES.items():
        others = {
            method: compare(base, found.row(method, protocol, threshold))[metric]
            for method in config.methods
            if method != BASE
        }
        better = [method for method, change in others.items() if change.difference < 0]
        surely = [method for method in better if others[method].verdict == "no"]
        near = [method for method, change in others.items() if change.verdict == "unclear"]
        notes = [f"surely behind {', '.join(surely)}"] if surely else []
        notes += [f"not apart from {', '.join(near)}"] if near else []
        place = f"{name} {len(better) + 1} of {len(others) + 1}"
        places.append(place + (f" ({'; '.join(notes)})" if notes else ""))
    by = _protocols(found, config, protocol)
    return f"{ours} by {by}, threshold {threshold}: " + "; ".join(places)


def _against(found: Segmented, scores: MaskScores, row: Any) -> Mapping[Metric, Paired]:
    if row.method == BASE or not any(other.method == BASE for other in found.rows):
        return {}
    return compare(found.row(BASE, row.protocol, row.threshold), scores)


def _protocols(found: Segmented, config: SegmentationConfig, protocol: Protocol) -> str:
    return " = ".join(config.protocols) if found.coincide else protocol


def _said(config: SegmentationConfig, threshold: Threshold) -> str:
    cut = "0.5" if threshold == "0.5" else "the map's mean"
    asked = "true" if config.class_choice == "truth" else "predicted"
    return f"threshold {cut}, {asked} class"


def _header(*more: str) -> list[str]:
    return ["method", *NAMES.values(), *more, *(f"lead {name}" for name in NAMES.values())]


def _row(
    found: Segmented, name: str, protocol: Protocol, threshold: Threshold, *, paper: bool
) -> list[str]:
    scores = found.row(name, protocol, threshold)
    cells = [name, *(percent(getattr(scores, metric)) for metric in METRICS)]
    if paper:
        cells.append("/".join(f"{v:.1f}" for v in TABLE_4[name]) if name in TABLE_4 else "-")
    if name == BASE or not any(row.method == BASE for row in found.rows):
        return [*cells, *("-" for _ in METRICS)]
    changes = compare(found.row(BASE, protocol, threshold), scores)
    return [
        *cells,
        *(f"{100 * c.difference:+.1f} ± {100 * c.half_width:.1f}" for c in changes.values()),
    ]
