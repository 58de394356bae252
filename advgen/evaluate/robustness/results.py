"""What an evaluation found, as records; tables, plots, pages and files come from these alone.

Every `Rate` here counts all rows it speaks of as verified: which images are released is for the
data set's own policy to say, and how many of them nobody verified stands in `EvaluatedData`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from advgen.evaluate.robustness.statistics import (
    Difference,
    newcombe_difference,
    weighted_difference,
)
from advgen.records import ClassPair
from advgen.scoring import Rate


@dataclass(frozen=True, slots=True)
class PairResult:
    """One model on the rows of one pair.

    Attributes:
        pair: True class and target class.
        success: Attack success: rows that the model takes for the target class. Accuracy is one
            minus this, since the choice is between two classes.
        sentence_interval: 95 % interval of the same rate when whole descriptions are drawn again
            (images of one description are not independent), as two shares in [0, 1].
        clean: Accuracy between the same two classes on clean images of the true class (its
            successes are images named rightly); None without a control.
        clean_both: The same on clean images of either class, so that a model which always says
            the true class does not look perfect.
    """

    pair: ClassPair
    success: Rate
    sentence_interval: tuple[float, float]
    clean: Rate | None
    clean_both: Rate | None = None

    @property
    def excess(self) -> Difference | None:
        """`excess_of` its success and its clean accuracy."""
        return excess_of(self.success, self.clean)


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model on the whole data set.

    Attributes:
        name: As it was asked for.
        weights_sha256: Hash of its weights.
        success: Over all rows.
        sentence_interval: As in `PairResult`.
        clean: Over the clean images of all pairs; None without a control.
        pairs: Each pair, in the data set's order.
        margins: cos(target) - cos(true) per row, in the data set's order; above 0 is fooled.
        clean_both: As in `PairResult`.
        recorded_difference: Largest difference between these margins and those that the data set
            records, over the rows made against this very model; None where there are none.
    """

    name: str
    weights_sha256: str
    success: Rate
    sentence_interval: tuple[float, float]
    clean: Rate | None
    pairs: tuple[PairResult, ...]
    margins: Float[np.ndarray, " row"]
    clean_both: Rate | None = None
    recorded_difference: float | None = None

    @property
    def excess(self) -> Difference | None:
        """`pooled_excess` of its pairs."""
        return pooled_excess(self.pairs)


@dataclass(frozen=True, slots=True)
class TransferCell:
    """Images made against one model, shown to another.

    Attributes:
        attacked: Name of the model that the images were made against.
        evaluated: Name of the model that looks at them.
        success: Over all rows of that attacked model.
        given_fooled: Over those rows that fooled the attacked model, by its own score in the data
            set; no rows where none did.
    """

    attacked: str
    evaluated: str
    success: Rate
    given_fooled: Rate


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two exact tests, both two-sided: is a model fooled by more or fewer rows than the attacked?

    McNemar's takes all rows as independent. The sign-flip test takes descriptions as independent
    and leaves open how alike the rows of one are; where the two disagree it is the one to believe.

    Attributes:
        attacked: Model that the rows were made against, by its scores in the data set.
        evaluated: The other model.
        rows: How many rows both saw.
        only_attacked: Rows that fool the attacked model alone.
        only_evaluated: Rows that fool the other alone.
        p: McNemar's, over rows.
        p_holm: The same after Holm's correction over all comparisons of the evaluation.
        descriptions: How many descriptions the rows are of.
        deciding: Descriptions of which one of the two is fooled by more rows than the other.
        p_descriptions: `sign_flip_p`, over descriptions; at least 2 / 2^deciding.
        p_descriptions_holm: The same after Holm's correction, a family of its own.
    """

    attacked: str
    evaluated: str
    rows: int
    only_attacked: int
    only_evaluated: int
    p: float
    p_holm: float
    descriptions: int
    deciding: int
    p_descriptions: float
    p_descriptions_holm: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An image that no model was scored on.

    Attributes:
        name: Its id, or what its image set calls it.
        reason: Why.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class EvaluatedData:
    """The data set that was looked at.

    Attributes:
        name: Its folder's own name, or `hf:OWNER/NAME@COMMIT`.
        fingerprint: Changes with any row.
        rows: Images.
        pairs: Pairs in their order.
        attacked: Names of the attacked models.
        clean: Spec of the clean images, or None.
        licence: Of the data set.
        unverified: How many of the rows neither a judge nor a person confirmed.
        only_fooled: Whether the data set holds only images that fooled the attacked model.
        left_out: Rows whose image cannot be used, for any model.
        clean_left_out: The same among the clean images.
        drawn: Whether all rows were drawn by the sandbox.
    """

    name: str
    fingerprint: str
    rows: int
    pairs: tuple[ClassPair, ...]
    attacked: tuple[str, ...]
    clean: str | None
    licence: str
    unverified: int = 0
    only_fooled: bool = False
    left_out: tuple[LeftOut, ...] = ()
    clean_left_out: tuple[LeftOut, ...] = ()
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was found.

    Attributes:
        data: What was looked at.
        models: In the order asked for.
        transfer: Attacked x evaluated, row by row.
        comparisons: Every evaluated model against every attacked one that is not itself.
        prompts: Templates of the class texts.
        row_ids: Id of each row that the margins speak of.
        row_pairs: Its pair, by number in `data.pairs`.
        seed: Of the intervals over descriptions.
    """

    data: EvaluatedData
    models: tuple[ModelResult, ...]
    transfer: tuple[TransferCell, ...]
    comparisons: tuple[Comparison, ...]
    prompts: tuple[str, ...]
    row_ids: tuple[str, ...] = ()
    row_pairs: tuple[int, ...] = ()
    seed: int = 0


def rate_of(hits: int, rows: int) -> Rate:
    """A rate in which all rows count as verified, see the top of this file."""
    return Rate(images=rows, fooled=hits, verified=rows, fooled_verified=hits)


def excess_of(success: Rate, clean: Rate | None) -> Difference | None:
    """How much more often a model errs on these images than on clean ones of the true classes.

    Success less the clean error rate, with Newcombe's interval; None without a control or rows.
    """
    if clean is None or not clean.verified or not success.verified:
        return None
    return newcombe_difference(
        (success.fooled_verified, success.verified),
        (clean.verified - clean.fooled_verified, clean.verified),
    )


def pooled_excess(pairs: Sequence[PairResult]) -> Difference | None:
    """The excess over all pairs, each weighted by its rows in the data set.

    The clean images of a pair are as many as its image set has: without the weights a class with
    many of them would be held against attacks on the others. None where a pair has no control.
    """
    parts = [(pair.success.verified, pair.excess) for pair in pairs if pair.success.verified]
    found = [(float(rows), excess) for rows, excess in parts if excess is not None]
    return weighted_difference(found) if found and len(found) == len(parts) else None
