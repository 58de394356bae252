"""Neuron directions drawn at random, for tests that do not look at how they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from doubles.towers import small_clip

from advgen.evaluate.segmentation import SegmenterInputs
from advgen.lens import NeuronDirections


def drawn_directions(neurons: int, embed: int, seed: int) -> NeuronDirections:
    random = torch.Generator().manual_seed(seed)
    direction = torch.randn(neurons, embed, generator=random)
    share = torch.rand(neurons, generator=random)
    return NeuronDirections(
        direction=direction / direction.norm(dim=1, keepdim=True),
        bias=torch.zeros(neurons, embed),
        explained_variance=share,
        mean_projection=share,
        top_images=torch.zeros(neurons, 1, dtype=torch.long),
        top_norms=share[:, None],
        norm_threshold=share,
        norm_quantile=share,
    )


def inputs_with_neurons(clip: Any = None, **vision: Any) -> SegmenterInputs:
    clip = small_clip(**vision) if clip is None else clip

    def directions(layers: Sequence[int]) -> Mapping[int, NeuronDirections]:
        return {
            layer: drawn_directions(clip.vision.neurons, clip.embed_dim, layer) for layer in layers
        }

    return SegmenterInputs(clip, directions)
