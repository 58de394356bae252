"""Training-time pressures that make a small vision transformer use its second-order paths.

Left alone, a small tower's class token gathers early and its own MLPs do the work, so that ablating
every second-order effect changes nothing. For a random share of the samples of a batch, what
reaches the class token in other ways is therefore made useless during training; what neurons find
on the patches must then travel through the last attention heads. The architecture at inference is
unchanged.

- `hold`: at the class token, the MLP's output of every layer and the attention's output of all
  layers but the last two are replaced by their batch mean.
- `swap`: the same outputs are taken from another sample of the batch; and where the last two layers
  read the patches, everything but the neurons' own writes (patch embedding, earlier attention) is
  taken from that other sample too. The class token is thus shown one image's neurons among another
  image's everything else, and must name the first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import open_clip
import torch
from torch import Tensor, nn

Pressure = Literal["hold", "swap"]
LATE_LAYERS = 2


@contextlib.contextmanager
def second_order_pressure(
    model: open_clip.CLIP, held: Tensor, kind: Pressure = "hold", *, others: Tensor | None = None
) -> Iterator[None]:
    """Apply the pressure to the samples marked in `held` while it is open.

    Args:
        model: The model in training.
        held: Bool [image], which samples it acts on.
        kind: See the module.
        others: Int [image], for `swap`: whose outputs each sample gets.
    """
    if kind == "swap" and others is None:
        raise ValueError("the pressure 'swap' needs to be told the other samples")
    visual: Any = model.visual
    blocks = list(visual.transformer.resblocks)
    hooks = _Hooks(held, others if kind == "swap" else None)
    handles = [block.mlp.register_forward_hook(hooks.on_mlp) for block in blocks]
    handles += [
        block.attn.register_forward_hook(hooks.on_attention) for block in blocks[:-LATE_LAYERS]
    ]
    if kind == "swap":
        handles += [
            block.register_forward_pre_hook(hooks.on_late_block) for block in blocks[-LATE_LAYERS:]
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Hooks:
    """What happens to the held samples in one forward pass."""

    def __init__(self, held: Tensor, others: Tensor | None) -> None:
        self.held, self.others = held, others
        self.writes: Tensor | None = None

    def on_mlp(self, _module: nn.Module, _args: tuple, output: Tensor) -> Tensor:
        if self.others is not None:
            self.writes = output if self.writes is None else self.writes + output
        return self._class_token(output)

    def on_attention(self, _module: nn.Module, _args: tuple, output: tuple) -> tuple:
        return (self._class_token(output[0]), *output[1:])

    def on_late_block(self, _module: nn.Module, args: tuple) -> tuple:
        """Patches: the neurons' writes so far are the sample's own, the rest is the other's."""
        stream = args[0]
        assert self.writes is not None and self.others is not None
        mixed = self.writes[:, 1:] + (stream - self.writes)[self.others][:, 1:]
        patches = torch.where(self.held[:, None, None], mixed.to(stream.dtype), stream[:, 1:])
        return (torch.cat([stream[:, :1], patches], dim=1), *args[1:])

    def _class_token(self, output: Tensor) -> Tensor:
        first = output[:, 0]
        other = first.mean(dim=0, keepdim=True) if self.others is None else first[self.others]
        first = torch.where(self.held[:, None], other, first)
        return torch.cat([first[:, None], output[:, 1:]], dim=1)
