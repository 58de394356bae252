"""The page of an evaluation: one HTML file with nothing to fetch, install or run."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import Template

from advgen.evaluate.robustness.results import (
    EvaluatedData,
    Evaluation,
    ModelResult,
    PairResult,
    TransferCell,
)
from advgen.page_templates import page_style, page_template
from advgen.plots import TARGET_COLOR, TRUE_COLOR, margin_edges

BINS = 28
"""About how many bins a model's histogram has."""
LEFT_OUT_SHOWN = 50
"""Images without a score that are named; `evaluation.json` names all."""
_MIN_P = 0.0001


@dataclass(frozen=True, slots=True)
class MarginPanel:
    """The histogram of one model's margins.

    Attributes:
        name: The model.
        counts: Images per bin.
        above: Images with a margin above 0.
        images: All of them.
        median: Median margin; 0 without images.
    """

    name: str
    counts: tuple[int, ...]
    above: int
    images: int
    median: float


@dataclass(frozen=True, slots=True)
class MarginPanels:
    """The histograms of all models, on the same axes.

    Attributes:
        edges: Bounds of the bins; one of them is 0.
        tallest: The largest count of any bin, at least 1.
        cells: One per model.
    """

    edges: tuple[float, ...]
    tallest: int
    cells: tuple[MarginPanel, ...]


def evaluation_html(evaluation: Evaluation) -> str:
    """The evaluation as one self-contained HTML page.

    Args:
        evaluation: What was found; every name in it may be any text.

    Returns:
        HTML text without scripts and without any reference to the network or to other files.
    """
    transfer = {(cell.attacked, cell.evaluated): cell for cell in evaluation.transfer}
    data = evaluation.data
    return _template().render(
        data=data,
        models=evaluation.models,
        extremes=extremes(evaluation.models),
        with_clean=any(model.clean and model.clean.verified for model in evaluation.models),
        panels=margin_panels(evaluation.models),
        attacked=_unique(cell.attacked for cell in evaluation.transfer),
        evaluated=_unique(cell.evaluated for cell in evaluation.transfer),
        transfer=transfer,
        comparisons=evaluation.comparisons,
        by_pair=pair_groups(data, evaluation.models),
        facts=facts(evaluation),
        provenance=provenance(evaluation),
        left_out=(*data.left_out, *data.clean_left_out),
        left_out_shown=LEFT_OUT_SHOWN,
        style=page_style("report.css"),
        target_color=TARGET_COLOR,
        true_color=TRUE_COLOR,
    )


def facts(evaluation: Evaluation) -> dict[str, str]:
    """What was looked at, for the head of the page."""
    data = evaluation.data
    return {
        "images": f"{data.rows}",
        "pairs": f"{len(data.pairs)}",
        "made against": ", ".join(data.attacked) or "not recorded",
        "models": f"{len(evaluation.models)}",
        "clean control": data.clean or "none",
        "licence": data.licence,
        "fingerprint": data.fingerprint[:12],
    }


def extremes(models: Sequence[ModelResult]) -> tuple[ModelResult, ModelResult] | None:
    """The models that are fooled least and most; None for fewer than two with a rate."""
    rated = [(rate, model) for model in models if (rate := _share(model)) is not None]
    if len(rated) < 2:
        return None
    return min(rated, key=lambda found: found[0])[1], max(rated, key=lambda found: found[0])[1]


def margin_panels(models: Sequence[ModelResult]) -> MarginPanels:
    """The histograms of the models' margins."""
    margins = [np.asarray(model.margins, dtype=float) for model in models]
    edges = margin_edges(np.concatenate([np.zeros(0), *margins]), bins=BINS)
    counts = [np.histogram(values, edges)[0] for values in margins]
    cells = tuple(
        MarginPanel(
            name=model.name,
            counts=tuple(count.tolist()),
            above=int((values > 0).sum()),
            images=len(values),
            median=float(np.median(values)) if len(values) else 0.0,
        )
        for model, values, count in zip(models, margins, counts, strict=True)
    )
    tallest = max((max(cell.counts, default=0) for cell in cells), default=0)
    return MarginPanels(tuple(edges.tolist()), max(1, tallest), cells)


def pair_groups(
    data: EvaluatedData, models: Sequence[ModelResult]
) -> list[tuple[str, list[tuple[str, PairResult]]]]:
    """Pairs in the data set's order, each with every model's result on its rows."""
    groups = []
    for pair in data.pairs:
        rows = [
            (model.name, found) for model in models for found in model.pairs if found.pair == pair
        ]
        groups.append((str(pair), rows))
    return groups


def provenance(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Everything that another would need to repeat the evaluation: name and value."""
    data = evaluation.data
    rows = [
        ("data set", data.name),
        ("fingerprint of its rows", data.fingerprint),
        ("licence", data.licence),
        ("clean images", data.clean or "none"),
        ("seed of the intervals over descriptions", str(evaluation.seed)),
    ]
    rows += [("class text", prompt) for prompt in evaluation.prompts]
    for model in evaluation.models:
        rows.append((f"weights sha256 of {model.name}", model.weights_sha256))
        if model.recorded_difference is not None:
            told = f"{model.recorded_difference:.1e}, largest over the rows made against it"
            rows.append((f"{model.name}, difference from the recorded margins", told))
    return rows


def _share(found: ModelResult | PairResult | TransferCell) -> float | None:
    return found.success.attack_success_rate


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def _p_value(p: float) -> str:
    return f"< {_MIN_P}" if p < _MIN_P else f"{p:.4f}"


@functools.cache
def _template() -> Template:
    return page_template("evaluation.html.j2", percent=_percent, points=_points, p_value=_p_value)
