"""A training-time pressure that makes a small vision transformer use its second-order paths.

Left alone, a small tower's class token gathers early and its own MLPs do the work, so that ablating
every second-order effect changes nothing. Here, for a random share of the samples, two outputs at
the class token are replaced by their batch mean during training: the MLP's in every layer, and the
attention's in all layers but the last two. What a neuron finds on the patches must then travel
through later attention heads. The architecture at inference is unchanged.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

LATE_ATTENTION_LAYERS = 2


def _hold_class_token(output: Tensor, held: Tensor) -> Tensor:
    """Replace token 0 of the held samples by its mean over the batch."""
    first = output[:, 0]
    first = torch.where(held[:, None], first.mean(dim=0, keepdim=True), first)
    return torch.cat([first[:, None], output[:, 1:]], dim=1)


@contextlib.contextmanager
def second_order_pressure(model: open_clip.CLIP, held: Tensor) -> Iterator[None]:
    """Apply the pressure to the samples marked in `held` (bool [image]) while it is open."""

    def on_mlp(_module: nn.Module, _args: tuple, output: Tensor) -> Tensor:
        return _hold_class_token(output, held)

    def on_attention(_module: nn.Module, _args: tuple, output: tuple) -> tuple:
        return (_hold_class_token(output[0], held), *output[1:])

    visual: Any = model.visual
    blocks = list(visual.transformer.resblocks)
    handles = [block.mlp.register_forward_hook(on_mlp) for block in blocks]
    handles += [
        block.attn.register_forward_hook(on_attention) for block in blocks[:-LATE_ATTENTION_LAYERS]
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
