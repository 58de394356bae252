"""The heat map against exact masks of the drawn world, and its values against plain loops."""

import random
from typing import Any

import open_clip
import pytest
import torch

from advgen.config import LensConfig
from advgen.lens import SecondOrderLens
from advgen.lens.first_order import head_effects
from advgen.lens.token_shares import attention_shares, neuron_shares
from advgen.models import OpenClipModel, load_clip
from advgen.records import Neuron
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.reader import compose, read_description
from advgen.sandbox.render import render_masks, render_scene
from advgen.scoring import class_embeddings
from advgen.scoring.heatmap import (
    first_order_heatmap,
    run_heatmap,
    second_order_heatmap,
    square_side,
)


@pytest.fixture(scope="module")
def clip():
    return load_clip("sandbox-a")


@pytest.mark.parametrize("heatmap", [first_order_heatmap, second_order_heatmap])
def test_the_target_s_patches_speak_for_the_target_class(clip, heatmap) -> None:
    true, target = class_embeddings(clip, ("dog", "ship"), ("a photo of {article} {noun}.",))
    lexicon = load_lexicon()
    reading = read_description("a dog next to a ship", lexicon)
    gaps = []
    for seed in range(12):
        scene = compose(reading, lexicon, random.Random(seed), main="dog", main_size=(22.0, 26.0))
        pixels = clip.preprocess(render_scene(scene, 128))[None]
        heat = heatmap(clip, pixels, target - true)
        side = len(heat)
        masks = {mask.item.concept: mask.visible for mask in render_masks(scene, side * 12)}
        shares = {
            name: torch.tensor(masks[name]).float().reshape(side, 12, side, 12).mean((1, 3))
            for name in ("dog", "ship")
        }
        means = {name: (heat * share).sum() / share.sum() for name, share in shares.items()}
        gaps.append(float(means["ship"] - means["dog"]))
    assert sum(gap > 0 for gap in gaps) >= 10


def test_values_are_the_heads_effects_of_each_patch(clip) -> None:
    torch.manual_seed(0)
    pixels, contrast = torch.randn(1, 3, *clip.image_size), torch.randn(clip.embed_dim)
    heat = first_order_heatmap(clip, pixels, contrast).flatten()
    norm = clip.encode_image(pixels, normalize=False).norm()
    for patch in (0, 7, len(heat) - 1):
        total = sum(
            float(effect[head, patch + 1] @ contrast)
            for layer in range(clip.vision.layers)
            for effect in [head_effects(clip, pixels, layer)[0]]
            for head in range(effect.shape[0])
        )
        assert float(heat[patch]) == pytest.approx(total / float(norm), rel=1e-4, abs=1e-6)
    assert float(first_order_heatmap(clip, pixels, -contrast)[0, 0]) == pytest.approx(
        -float(heat[0]), rel=1e-4
    )


@pytest.fixture
def example(clip) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(1, 3, *clip.image_size), torch.randn(clip.embed_dim)


def effects_on(clip, pixels, contrast, layer) -> torch.Tensor:
    return SecondOrderLens(clip, [layer]).effects(pixels, layer)[0] @ contrast


def test_patches_and_prefix_add_up_to_the_effects(clip, example) -> None:
    pixels, contrast = example
    norm = float(clip.encode_image(pixels, normalize=False).norm())
    layers = range(clip.vision.layers - 1)
    whole = sum(float(effects_on(clip, pixels, contrast, layer).sum()) for layer in layers)
    prefix = sum(
        float(shares[: clip.vision.prefix_tokens].sum())
        for _, shares in neuron_shares(clip, pixels, contrast, layers)
    )
    heat = second_order_heatmap(clip, pixels, contrast)
    assert heat.shape == (5, 5) and heat.dtype == torch.float32
    assert float(heat.sum()) == pytest.approx((whole - prefix) / norm, rel=1e-3, abs=1e-5)
    one_by_one = sum(
        second_order_heatmap(clip, pixels, contrast, layers=[layer]) for layer in layers
    )
    assert torch.allclose(heat, torch.as_tensor(one_by_one), rtol=1e-3, atol=1e-6)


def test_only_the_chosen_neurons_count(clip, example) -> None:
    pixels, contrast = example
    chosen = [Neuron(3, 5), Neuron(1, 200), Neuron(3, 77), Neuron(3, 5)]
    norm = clip.encode_image(pixels, normalize=False).norm()
    shares = dict(neuron_shares(clip, pixels, contrast, [1, 3]))
    expected = shares[1][1:, 200] + shares[3][1:, 5] + shares[3][1:, 77]
    heat = second_order_heatmap(clip, pixels, contrast, neurons=chosen)
    assert torch.allclose(heat.flatten(), expected / norm, rtol=1e-4, atol=1e-7)
    third = second_order_heatmap(clip, pixels, contrast, neurons=chosen, layers=[0, 3])
    assert torch.allclose(third.flatten(), (expected - shares[1][1:, 200]) / norm, atol=1e-6)
    assert not second_order_heatmap(clip, pixels, contrast, neurons=[]).any()
    assert not second_order_heatmap(clip, pixels, contrast, neurons=chosen, layers=[0]).any()


def test_treatments_differ_and_a_last_layer_is_refused(clip, example) -> None:
    pixels, contrast = example
    paper = second_order_heatmap(clip, pixels, contrast)
    centered = second_order_heatmap(clip, pixels, contrast, treatment="centered")
    assert 0 < float((paper - centered).norm() / paper.norm()) < 1
    with pytest.raises(ValueError, match="expected layers from 0 to 4"):
        second_order_heatmap(clip, pixels, contrast, layers=[5])


def test_patches_that_form_no_square_are_refused(clip, monkeypatch) -> None:
    assert square_side(clip) == 5
    monkeypatch.setattr(type(clip.vision), "tokens", property(lambda _: 13))
    with pytest.raises(ValueError, match="patches in a square; got 12"):
        square_side(clip)


def small_clip(size: tuple[int, int]) -> OpenClipModel:
    torch.manual_seed(0)
    vision: Any = {"image_size": size, "patch_size": 8, "layers": 2, "width": 16, "head_width": 8}
    text: Any = {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 2, "layers": 1}
    return OpenClipModel(open_clip.CLIP(6, vision, text))


@pytest.mark.parametrize("size", [(16, 64), (64, 16), (24, 40)])
@pytest.mark.parametrize("heatmap", [first_order_heatmap, second_order_heatmap])
def test_images_that_are_no_square_are_refused(heatmap, size) -> None:
    """Two rows of eight patches are sixteen, as are four of four."""
    small = small_clip(size)
    with pytest.raises(ValueError, match=f"in a square; got those of images of {size[0]} x"):
        heatmap(small, torch.randn(1, 3, *size), torch.randn(6))


@pytest.mark.parametrize("index", [-1, 2000])
def test_neurons_that_do_not_exist_are_refused(clip, example, index) -> None:
    with pytest.raises(ValueError, match=rf"expected neurons from 0 to \d+; got 1:{index}"):
        second_order_heatmap(clip, *example, neurons=[Neuron(1, 0), Neuron(1, index)])


@pytest.mark.parametrize("treatment", ["paper", "centered"])
def test_both_maps_of_a_run_have_its_treatment(clip, example, treatment) -> None:
    pixels, contrast = example
    lens = LensConfig(layers=(1, 3, 5), treatment=treatment)
    kinds = ("first-order", "second-order")
    found = [run_heatmap(kind, clip, pixels, contrast, lens) for kind in kinds]
    norm = clip.encode_image(pixels, normalize=False).norm()
    direct = attention_shares(clip, pixels, contrast, treatment=treatment)[1:] / norm
    shares = dict(neuron_shares(clip, pixels, contrast, [1, 3], treatment=treatment))
    later = (shares[1].sum(dim=1) + shares[3].sum(dim=1))[1:] / norm
    for heat, expected in zip(found, (direct, later), strict=True):
        assert torch.allclose(heat.flatten(), expected, rtol=1e-4, atol=1e-7)


def test_a_kind_of_map_that_does_not_exist_is_refused(clip, example) -> None:
    with pytest.raises(ValueError, match="expected first-order or second-order; got 'second'"):
        run_heatmap("second", clip, example[0], example[1], LensConfig(layers=(1,)))
