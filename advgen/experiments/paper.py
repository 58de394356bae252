"""Figures that the paper reports, to print beside one's own.

Only figures that were checked against the paper stand here; a shape that it claims without a number
is kept as a sentence. ImageNet, OpenAI's ViT-B-32 and the paper's own sets of images lie behind
them, so they say what to look for on another model, not what its numbers ought to be.
"""

from __future__ import annotations

from dataclasses import dataclass

MODEL = "ViT-B-32 (OpenAI), ImageNet"


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """One figure or claim of the paper.

    Attributes:
        key: Short name in results.
        text: What it is.
        value: The figure in percent; None where the paper makes a claim without a number.
        source: Where it stands in arXiv 2406.04341.
    """

    key: str
    text: str
    value: float | None
    source: str

    def line(self) -> str:
        """The figure as one line of text."""
        value = "" if self.value is None else f": {self.value:.1f} %"
        return f"paper, {self.source}: {self.text}{value}"


BASELINE = PaperFigure("baseline", f"{MODEL}, nothing ablated, about", 63.0, "Sec. 3")
SECOND_ORDER_LEFT = PaperFigure(
    "second_order_left",
    f"{MODEL}, layer 9, accuracy left when all second-order effects are mean-ablated",
    29.6,
    "Table 1",
)
INDIRECT_LEFT = PaperFigure(
    "indirect_left",
    f"{MODEL}, layer 9, accuracy left when the indirect effects are mean-ablated",
    52.3,
    "Table 1",
)
SECOND_ORDER_PC1 = PaperFigure(
    "second_order_pc1",
    f"{MODEL}, layer 9, variance of second-order effects along their first component",
    48.2,
    "Table 1",
)
INDIRECT_PC1 = PaperFigure(
    "indirect_pc1",
    f"{MODEL}, layer 9, variance of indirect effects along their first component",
    11.0,
    "Table 1",
)
SIGNIFICANT = PaperFigure(
    "significant",
    "share of images on which a neuron's second-order effect is significant, below",
    2.0,
    "abstract",
)
LATE_LAYERS = PaperFigure(
    "late_layers",
    "of ViT-B-32, ablating the second-order effects of layers 8 to 10 costs most",
    None,
    "Fig. 3",
)
SPARSE = PaperFigure(
    "sparse",
    "the effects of a neuron's largest norms (100 images) alone keep the accuracy",
    None,
    "Fig. 3",
)
RANK_ONE = PaperFigure(
    "rank_one",
    "reconstruction from the first component stays within noise of the unablated accuracy",
    None,
    "Fig. 3",
)
TEXT = PaperFigure(
    "text",
    "ViT-B-32, layer 9: reconstruction from m = 128 texts comes close to the unablated accuracy",
    None,
    "Fig. 4",
)

TABLE_3_PAIRS = ("horse:automobile", "dog:deer", "bird:frog", "ship:truck", "ship:automobile")
TABLE_3: dict[str, dict[str, float]] = {
    method: dict(zip(TABLE_3_PAIRS, values, strict=True))
    for method, values in {
        "second-order": (5.3, 22.7, 8.0, 5.7, 7.0),
        "random": (1.0, 0.3, 0.3, 0.0, 1.3),
        "indirect": (2.8, 6.3, 1.0, 0.0, 0.0),
        "similar-words": (1.0, 3.3, 5.0, 0.0, 1.3),
    }.items()
}
"""Table 3: method -> pair -> mean success out of 100 images, checked by people."""
