"""The heat map against exact masks of the drawn world, and its values against plain loops."""

import random

import pytest
import torch

from advgen.lens.first_order import head_effects
from advgen.models import load_clip
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.reader import compose, read_description
from advgen.sandbox.render import render_masks, render_scene
from advgen.scoring import class_embeddings
from advgen.scoring.heatmap import first_order_heatmap


@pytest.fixture(scope="module")
def clip():
    return load_clip("sandbox-a")


def test_the_target_s_patches_speak_for_the_target_class(clip) -> None:
    true, target = class_embeddings(clip, ("dog", "ship"), ("a photo of {article} {noun}.",))
    lexicon = load_lexicon()
    reading = read_description("a dog next to a ship", lexicon)
    gaps = []
    for seed in range(12):
        scene = compose(reading, lexicon, random.Random(seed), main="dog", main_size=(22.0, 26.0))
        pixels = clip.preprocess(render_scene(scene, 128))[None]
        heat = first_order_heatmap(clip, pixels, target - true)
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
