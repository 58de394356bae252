import numpy as np
import pytest
import torch
from doubles.relevance import (
    linear,
    normalized_sum,
    plain_sum,
    product,
    relevance_by_loops,
)
from doubles.towers import batch, segmenter_inputs, visual_of
from torch import nn
from torch.testing import assert_close
from zennit.rules import AlphaBeta

from advgen.evaluate.segmentation.methods.chefer import Chefer
from advgen.evaluate.segmentation.methods.lrp import Lrp
from advgen.evaluate.segmentation.methods.partial_lrp import PartialLrp
from advgen.evaluate.segmentation.methods.relevance import (
    in_float64,
    propagate,
    quotient,
    through_linear,
    through_product,
    through_sum,
    through_sum_normalized,
)
from advgen.models.vision.explicit import ExplicitTower

VARIANTS = {
    "gelu": {},
    "quickgelu": {"quick_gelu": True},
    "layerscale": {"ls_init_value": 0.5},
}
RULES = {"plain": (through_sum, plain_sum), "normalised": (through_sum_normalized, normalized_sum)}


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_the_quotient_by_zero_is_zero():
    parts = torch.tensor([1.0, 2.0, 0.0, -3.0])
    assert quotient(parts, torch.tensor([0.0, 4.0, 0.0, -1.0])).tolist() == [0.0, 0.5, 0.0, 3.0]


@pytest.mark.parametrize("sign", ["any", "non-negative"])
def test_the_linear_rule_is_zennits(sign):
    x, relevance = drawn(4, 5, 7), drawn(4, 5, 6)
    x = x.relu() if sign == "non-negative" else x
    layer = nn.Linear(7, 6).double()
    rule = AlphaBeta(alpha=1.0, beta=0.0, stabilizer=1e-30, zero_params=["bias"])
    handles = rule.register(layer)
    x.requires_grad_()
    (expected,) = torch.autograd.grad(layer(x), x, relevance)
    handles.remove()
    found = through_linear(x.detach(), layer.weight.detach(), relevance)
    assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_linear_rule_by_loops():
    x, weight, relevance = drawn(4, 7), drawn(6, 7), drawn(4, 6)
    found = through_linear(x, weight, relevance)
    for row in range(4):
        expected = linear(x[row].numpy(), weight.numpy(), relevance[row].numpy())
        np.testing.assert_allclose(found[row].numpy(), expected, rtol=1e-11, atol=1e-12)


def test_sum_and_product_by_loops():
    a, b, relevance = drawn(3, 4, 5), drawn(3, 4, 5), drawn(3, 4, 5)
    for rule, reference in RULES.values():
        found = rule(a, b, relevance)
        for image in range(3):
            expected = reference(*(part[image].numpy() for part in (a, b, relevance)))
            for mine, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(mine[image].numpy(), theirs, rtol=1e-9)
    left, right, relevance = drawn(2, 3, 4), drawn(2, 4, 5), drawn(2, 3, 5)
    found = through_product(left, right, relevance)
    for image in range(2):
        expected = product(*(part[image].numpy() for part in (left, right, relevance)))
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine[image].numpy(), theirs, rtol=1e-11)


def test_every_rule_keeps_the_sum_of_every_image():
    stream, other, relevance = drawn(5, 4, 6), drawn(5, 4, 6), drawn(5, 4, 6)
    weight, flat = drawn(6, 9), drawn(5, 4, 9)
    left, right, joint = drawn(5, 4, 3), drawn(5, 3, 6), relevance
    shares = {
        "linear": (through_linear(flat, weight, relevance),),
        "sum": through_sum(stream, other, relevance),
        "normalised sum": through_sum_normalized(stream, other, relevance),
        "product": through_product(left, right, joint),
    }
    for name, parts in shares.items():
        total = torch.stack([part.flatten(1).sum(dim=1) for part in parts]).sum(dim=0)
        room = sum(part.abs().sum().item() for part in parts)
        error = (total - relevance.flatten(1).sum(dim=1)).abs().max().item()
        assert error <= 1e-14 * room, name
        assert error <= 1e-10, name


def test_normalised_shares_never_outgrow_the_whole():
    a = drawn(6, 3, 4)
    b, relevance = -a + 0.01 * drawn(6, 3, 4), drawn(6, 3, 4)  # sums that nearly cancel
    whole = relevance.flatten(1).sum(dim=1)
    plain = [share.flatten(1).sum(dim=1).abs() for share in through_sum(a, b, relevance)]
    normalised = through_sum_normalized(a, b, relevance)
    assert max(plain[0] / whole.abs()) > 10
    for share in normalised:
        assert (share.flatten(1).sum(dim=1).abs() <= whole.abs() * (1 + 1e-9)).all()


def test_what_has_no_share_is_lost():
    x, relevance = torch.ones(1, 2), torch.tensor([[3.0, 5.0]])
    weight = torch.tensor([[-1.0, -2.0], [1.0, -1.0]])
    assert through_linear(x, weight, relevance).tolist() == [[5.0, 0.0]]
    a = torch.tensor([[[1.0, 2.0]]])
    of_a, of_b = through_sum(a, torch.tensor([[[-1.0, 2.0]]]), torch.ones(1, 1, 2))
    assert (of_a.tolist(), of_b.tolist()) == ([[[0.0, 0.5]]], [[[0.0, 0.5]]])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("rule", RULES)
def test_a_whole_pass_by_loops(variant, rule):
    residual, reference = RULES[rule]
    inputs, (pixels, classes) = segmenter_inputs(**VARIANTS[variant]), batch(2)
    tower = ExplicitTower(inputs.clip.vision)
    found = propagate(tower, tower.trace(pixels), classes, residual=residual)
    streams, attentions = relevance_by_loops(visual_of(inputs), pixels, classes, reference)
    for layer in range(3):
        for mine, theirs in ((found.streams, streams), (found.attention, attentions)):
            room = 1e-9 * np.abs(theirs[layer]).max()
            np.testing.assert_allclose(mine[layer].numpy(), theirs[layer], rtol=1e-6, atol=room)


@pytest.mark.parametrize("rule", RULES)
def test_relevance_of_one_enters_every_block(rule):
    inputs, (pixels, classes) = segmenter_inputs(), batch(4)
    tower = ExplicitTower(inputs.clip.vision)
    found = propagate(tower, tower.trace(pixels), classes, residual=RULES[rule][0])
    assert sorted(found.streams) == [0, 1, 2]
    for relevance in found.streams.values():
        error = (relevance.sum(dim=(1, 2)) - 1).abs() / relevance.abs().sum(dim=(1, 2))
        assert error.max() <= 1e-10


def test_a_pass_that_stops_early_is_the_same_so_far():
    inputs, (pixels, classes) = segmenter_inputs(), batch(2)
    tower = ExplicitTower(inputs.clip.vision)
    whole = propagate(tower, tower.trace(pixels), classes)
    part = propagate(tower, tower.trace(pixels), classes, until=1)
    assert sorted(part.attention) == [1, 2]
    assert all(torch.equal(part.attention[layer], whole.attention[layer]) for layer in (1, 2))


@pytest.mark.parametrize("rule", RULES)
def test_a_model_in_float32_is_passed_in_float64(rule):
    inputs, (pixels, classes) = segmenter_inputs(), batch(4)
    inputs.clip.vision.visual.float()
    tower = ExplicitTower(inputs.clip.vision)
    wide = in_float64(tower)
    assert (tower.projection.dtype, wide.projection.dtype) == (torch.float32, torch.float64)
    found = propagate(wide, wide.trace(pixels.float()), classes, residual=RULES[rule][0])
    for relevance in found.streams.values():
        error = (relevance.sum(dim=(1, 2)) - 1).abs() / relevance.abs().sum(dim=(1, 2))
        assert error.max() <= 1e-13


@pytest.mark.parametrize("method", [Lrp, PartialLrp, Chefer])
def test_the_methods_take_their_relevance_in_float64(method):
    inputs, (pixels, classes) = segmenter_inputs(), batch(2)
    inputs.clip.vision.visual.float()
    assert method(inputs).patches(pixels.float(), classes.float()).dtype == torch.float64
