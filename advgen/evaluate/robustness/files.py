"""An evaluation as JSON: all records and what they depend on, rounded, without a clock."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from advgen.evaluate.robustness.results import Comparison, Evaluation, ModelResult, PairResult
from advgen.evaluate.robustness.statistics import Difference
from advgen.scoring import Rate
from advgen.scoring.clusters import DRAWS
from advgen.store import canonical_json
from advgen.versions import installed_versions

FORMAT_VERSION = 2
"""2: comparisons have a test over descriptions beside the one over rows."""
DIGITS = 6
_SMALL = 4
_PACKAGES = ("advgen", "torch", "open_clip_torch", "numpy", "scipy")


def evaluation_json(evaluation: Evaluation) -> str:
    """The text of `evaluation.json`: equal evaluations give equal bytes."""
    document = {
        "format": FORMAT_VERSION,
        "data": dataclasses.asdict(evaluation.data)
        | {"pairs": [str(pair) for pair in evaluation.data.pairs]},
        "prompts": list(evaluation.prompts),
        "bootstrap": {"seed": evaluation.seed, "draws": DRAWS},
        "rows": {"ids": list(evaluation.row_ids), "pairs": list(evaluation.row_pairs)},
        "models": [_model(model) for model in evaluation.models],
        "transfer": [
            {
                "attacked": cell.attacked,
                "evaluated": cell.evaluated,
                "success": rate_json(cell.success),
                "given_fooled": rate_json(cell.given_fooled),
            }
            for cell in evaluation.transfer
        ],
        "comparisons": [comparison_json(found) for found in evaluation.comparisons],
        "versions": installed_versions(_PACKAGES),
    }
    return canonical_json(document, indent=1) + "\n"


def rate_json(rate: Rate | None) -> dict[str, Any] | None:
    """Counts, share and Wilson interval; None for no rate."""
    if rate is None:
        return None
    share, interval = rate.attack_success_rate, rate.interval
    return {
        "count": rate.fooled_verified,
        "images": rate.verified,
        "share": None if share is None else round(share, DIGITS),
        "interval": None if interval is None else [round(end, DIGITS) for end in interval],
    }


def difference_json(found: Difference | None) -> dict[str, float] | None:
    """A difference and its interval; None for none."""
    if found is None:
        return None
    return {name: round(value, DIGITS) for name, value in dataclasses.asdict(found).items()}


def comparison_json(found: Comparison) -> dict[str, Any]:
    """A comparison, its p values to four digits, however small."""
    return {
        name: float(f"{value:.{_SMALL}g}") if isinstance(value, float) else value
        for name, value in dataclasses.asdict(found).items()
    }


def _model(model: ModelResult) -> dict[str, Any]:
    recorded = model.recorded_difference
    return {
        "name": model.name,
        "weights_sha256": model.weights_sha256,
        **_rates(model),
        "recorded_difference": None if recorded is None else round(recorded, DIGITS),
        "pairs": [{"pair": str(found.pair), **_rates(found)} for found in model.pairs],
        "margins": [round(margin, DIGITS) for margin in model.margins.tolist()],
        "margin_quantiles": _quantiles(model),
    }


def _rates(found: ModelResult | PairResult) -> dict[str, Any]:
    return {
        "success": rate_json(found.success),
        "sentence_interval": [round(end, DIGITS) for end in found.sentence_interval],
        "clean": rate_json(found.clean),
        "clean_both": rate_json(found.clean_both),
        "excess": difference_json(found.excess),
    }


def _quantiles(model: ModelResult) -> dict[str, float]:
    shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    found = np.quantile(model.margins, shares)
    return {f"{share:g}": round(float(q), DIGITS) for share, q in zip(shares, found, strict=True)}
