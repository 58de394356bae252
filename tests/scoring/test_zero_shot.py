import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from advgen.scoring import class_embeddings, score_pair

CLASSES = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_scores_by_hand() -> None:
    (score,) = score_pair(torch.tensor([[0.6, 0.8, 0.0]]), CLASSES, logit_scale=10.0)
    assert (score.cos_true, score.cos_target) == pytest.approx((0.6, 0.8))
    assert score.margin == pytest.approx(0.2)
    assert score.prob_target == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert score.fooled


@pytest.mark.parametrize(
    ("image", "fooled"),
    [([1.0, 0.0, 0.0], False), ([0.0, 1.0, 0.0], True), ([0.0, 0.0, 1.0], False)],
    ids=["true class", "target class", "tie"],
)
def test_only_a_positive_margin_fools(image: list[float], fooled: bool) -> None:
    (score,) = score_pair(torch.tensor([image]), CLASSES, logit_scale=100.0)
    assert score.fooled is fooled


def test_probabilities_are_the_softmax_over_both_classes_in_image_order() -> None:
    rng = np.random.default_rng(3)
    images, classes = (rng.normal(size=(count, 8)) for count in (5, 2))
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    logits = 7.0 * images @ classes.T
    wanted = np.exp(logits)[:, 1] / np.exp(logits).sum(axis=1)
    scores = score_pair(torch.tensor(images), torch.tensor(classes).float(), logit_scale=7.0)
    assert [score.prob_target for score in scores] == pytest.approx(wanted, abs=1e-6)


class TableClip:
    """A text tower that is a table; the rest of a CLIP is there in name only."""

    name, weights_sha256, embed_dim, image_size = "table", "", 2, (1, 1)
    logit_scale, device, vision = 1.0, torch.device("cpu"), None

    def __init__(self, rows: dict[str, list[float]]) -> None:
        self.rows = rows

    def preprocess(self, image: Image.Image) -> Tensor:
        raise NotImplementedError

    def encode_image(self, pixels: Tensor, *, normalize: bool = True) -> Tensor:
        raise NotImplementedError

    def encode_text(self, texts: list[str]) -> Tensor:
        return torch.tensor([self.rows[text] for text in texts], dtype=torch.float64)


def test_class_embeddings_average_the_templates_and_are_unit_float32_rows() -> None:
    clip = TableClip(
        {
            "a photo of an owl": [1.0, 0.0],
            "owl, drawn": [0.0, 1.0],
            "a photo of a cat": [0.6, 0.8],
            "cat, drawn": [0.6, 0.8],
        }
    )
    templates = ("a photo of {article} {noun}", "{noun}, drawn")
    rows = class_embeddings(clip, ["owl", "cat"], templates)  # type: ignore[arg-type]
    assert rows.dtype == torch.float32
    half = math.sqrt(0.5)
    torch.testing.assert_close(rows, torch.tensor([[half, half], [0.6, 0.8]]))
