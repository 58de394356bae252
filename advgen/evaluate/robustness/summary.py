"""From the scores of several models to what an evaluation says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int

from advgen.errors import DataError
from advgen.evaluate.robustness.clean import CleanControl
from advgen.evaluate.robustness.dataset import DataRow, RobustnessData
from advgen.evaluate.robustness.results import (
    Comparison,
    EvaluatedData,
    Evaluation,
    LeftOut,
    ModelResult,
    PairResult,
    TransferCell,
    rate_of,
)
from advgen.evaluate.robustness.scores import Scores
from advgen.evaluate.robustness.statistics import holm, mcnemar_exact
from advgen.imagesets.batches import Skipped
from advgen.records import ClassPair
from advgen.scoring import pool
from advgen.scoring.clusters import cluster_differences, cluster_interval, sign_flip_p


@dataclass(frozen=True)
class ScoredModel:
    """A model and all that it said.

    Attributes:
        name: As it was asked for.
        weights_sha256: Hash of its weights.
        rows: Its scores of the data set's rows.
        clean: Its scores of the clean control, if there is one.
    """

    name: str
    weights_sha256: str
    rows: Scores
    clean: Scores | None


def summarise(
    data: RobustnessData,
    control: CleanControl | None,
    models: Sequence[ScoredModel],
    seed: int = 0,
) -> Evaluation:
    """Rates, transfer and tests of the models on the data set.

    Args:
        data: The data set.
        control: Clean images, or None.
        models: At least one.
        seed: Of the intervals over descriptions.

    Raises:
        DataError: If no image of the data set can be used.
    """
    counted = _Counted(data, models)
    attacked = _attacked(counted.rows)
    results = tuple(_model(counted, control, model, seed) for model in models)
    return Evaluation(
        _data(data, counted, control, models, tuple(attacked.values())),
        results,
        tuple(
            _transfer(counted, weights, attacked[weights], model)
            for weights in attacked
            for model in results
        ),
        _comparisons(counted, attacked, results),
        tuple(dict.fromkeys(text for row in counted.rows for text in row.templates)),
        tuple(row.id for row in counted.rows),
        tuple(counted.pair.tolist()),
        seed,
    )


class _Counted:
    """The rows that all models could look at, as arrays."""

    def __init__(self, data: RobustnessData, models: Sequence[ScoredModel]) -> None:
        skipped = {image.index: image for model in models for image in model.rows.skipped}
        self.left_out = _left_out(skipped[index] for index in sorted(skipped))
        self.places = np.array([i for i in range(len(data.rows)) if i not in skipped], dtype=int)
        if not len(self.places):
            raise DataError(
                f"none of the {len(data.rows)} images of {data.name} can be used, e.g."
                f" {self.left_out[0].name} ({self.left_out[0].reason}); build it anew"
            )
        self.rows: list[DataRow] = [data.rows[place] for place in self.places]
        self.pairs: tuple[ClassPair, ...] = tuple(dict.fromkeys(row.pair for row in self.rows))
        self.pair = _numbered([row.pair for row in self.rows])
        self.sentence = _numbered([(row.pair, row.description) for row in self.rows])
        self.attacked = np.array([row.weights_sha256 for row in self.rows])
        self.fooled = np.array([row.fooled for row in self.rows])


def _numbered(values: Sequence[object]) -> Int[np.ndarray, " row"]:
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[value] for value in values], dtype=int)


def _left_out(skipped: Iterable[Skipped]) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(image.name, image.reason) for image in skipped)


def _attacked(rows: Sequence[DataRow]) -> dict[str, str]:
    """Weights of each attacked model -> its name, told apart where two have the same."""
    names = {row.weights_sha256: row.attacked for row in rows}
    taken = list(names.values())
    return {
        weights: name if taken.count(name) == 1 else f"{name} ({weights[:8]})"
        for weights, name in names.items()
    }


def _model(
    counted: _Counted, control: CleanControl | None, model: ScoredModel, seed: int
) -> ModelResult:
    margins = model.rows.margins[counted.places]
    fooled = margins > 0
    pairs = tuple(
        _pair(counted, number, pair, fooled, seed) for number, pair in enumerate(counted.pairs)
    )
    clean = both = None
    if control is not None and model.clean is not None:
        rates = [control.rates(model.clean, pair) for pair in counted.pairs]
        pairs = tuple(
            replace(found, clean=rate[0], clean_both=rate[1])
            for found, rate in zip(pairs, rates, strict=True)
        )
        clean, both = pool(rate[0] for rate in rates), pool(rate[1] for rate in rates)
    return ModelResult(
        model.name,
        model.weights_sha256,
        rate_of(int(fooled.sum()), len(fooled)),
        cluster_interval(fooled, counted.sentence, seed),
        clean,
        pairs,
        margins.astype(np.float64),
        both,
        _recorded_difference(counted, model.weights_sha256, margins),
    )


def _pair(
    counted: _Counted, number: int, pair: ClassPair, fooled: Bool[np.ndarray, " row"], seed: int
) -> PairResult:
    mine = counted.pair == number
    return PairResult(
        pair,
        rate_of(int(fooled[mine].sum()), int(mine.sum())),
        cluster_interval(fooled[mine], counted.sentence[mine], seed),
        None,
    )


def _recorded_difference(counted: _Counted, weights: str, margins: np.ndarray) -> float | None:
    mine = counted.attacked == weights
    if not mine.any():
        return None
    recorded = np.array([row.margin for row in counted.rows])
    return float(np.abs(margins - recorded)[mine].max())


def _transfer(counted: _Counted, weights: str, name: str, model: ModelResult) -> TransferCell:
    fooled, mine = model.margins > 0, counted.attacked == weights
    given = mine & counted.fooled
    return TransferCell(
        name,
        model.name,
        rate_of(int(fooled[mine].sum()), int(mine.sum())),
        rate_of(int(fooled[given].sum()), int(given.sum())),
    )


def _comparisons(
    counted: _Counted, attacked: dict[str, str], models: Sequence[ModelResult]
) -> tuple[Comparison, ...]:
    found = []
    for weights, name in attacked.items():
        mine = counted.attacked == weights
        for model in models:
            if model.weights_sha256 == weights:
                continue
            other = (model.margins > 0)[mine]
            names = name, model.name
            found.append(_compared(names, counted.fooled[mine], other, counted.sentence[mine]))
    by_row = holm([comparison.p for comparison in found])
    by_description = holm([comparison.p_descriptions for comparison in found])
    return tuple(
        replace(comparison, p_holm=p, p_descriptions_holm=q)
        for comparison, p, q in zip(found, by_row, by_description, strict=True)
    )


def _compared(
    names: tuple[str, str],
    attacked: Bool[np.ndarray, " row"],
    other: Bool[np.ndarray, " row"],
    sentence: Int[np.ndarray, " row"],
) -> Comparison:
    first, second = int((attacked & ~other).sum()), int((other & ~attacked).sum())
    sums = cluster_differences(attacked, other, sentence)
    p, q = mcnemar_exact(first, second), sign_flip_p(attacked, other, sentence)
    deciding = int((sums != 0).sum())
    return Comparison(*names, len(sentence), first, second, p, p, len(sums), deciding, q, q)


def _data(
    data: RobustnessData,
    counted: _Counted,
    control: CleanControl | None,
    models: Sequence[ScoredModel],
    attacked: tuple[str, ...],
) -> EvaluatedData:
    lost: dict[int, Skipped] = {}
    for model in models:
        lost |= {image.index: image for image in (model.clean.skipped if model.clean else ())}
    return EvaluatedData(
        name=data.name,
        fingerprint=data.fingerprint,
        rows=len(counted.rows),
        pairs=counted.pairs,
        attacked=attacked,
        clean=None if control is None else control.spec,
        licence=data.licence,
        unverified=sum(not row.verified for row in counted.rows),
        only_fooled=data.only_fooled,
        left_out=counted.left_out,
        clean_left_out=_left_out(lost[index] for index in sorted(lost)),
        drawn=data.drawn,
    )
