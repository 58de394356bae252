"""Tiny random CLIPs, and their passes read from open_clip's own modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from torch import Tensor

from advgen.evaluate.segmentation import SegmenterInputs
from advgen.models import OpenClipModel

TEXT: Any = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
SCALE = 20.0


def small_clip(*, quick_gelu: bool = False, seed: int = 0, **vision: Any) -> OpenClipModel:
    """A tower of float64 weights whose layer norms are far from the identity."""
    torch.manual_seed(seed)
    sizes = {"image_size": 24, "patch_size": 8, "layers": 3, "width": 16, "head_width": 8}
    config: Any = {**sizes, "mlp_ratio": 1.5, **vision}
    model = open_clip.CLIP(embed_dim=6, quick_gelu=quick_gelu, vision_cfg=config, text_cfg=TEXT)
    for name, weight in model.visual.named_parameters():
        norm = "ln_" in name or "gamma" in name
        mean = 0.0 if not norm else 1.0 if name.endswith("weight") else 0.4
        torch.nn.init.normal_(weight, mean=mean, std=0.5 if norm else 0.3)
    model.logit_scale.data.fill_(torch.tensor(SCALE).log())
    return OpenClipModel(model.double())


def segmenter_inputs(**vision: Any) -> SegmenterInputs:
    def directions(layers: object) -> Any:
        raise AssertionError("an attribution method asked for neurons")

    return SegmenterInputs(small_clip(**vision), directions)


def batch(images: int = 3, height: int = 24, width: int = 24) -> tuple[Tensor, Tensor]:
    """Pixels, and a unit class embedding for each."""
    random = torch.Generator().manual_seed(1)
    pixels = torch.randn(images, 3, height, width, generator=random).double()
    classes = torch.randn(images, 6, generator=random).double()
    return pixels, classes / classes.norm(dim=-1, keepdim=True)


@dataclass
class ModuleStep:
    """A block's inputs and outputs, recorded by hooks."""

    entering: Tensor
    normed: Tensor
    attention: Tensor
    between: Tensor
    normed_between: Tensor
    activations: Tensor
    leaving: Tensor


def module_steps(visual: Any, pixels: Tensor) -> list[ModuleStep]:
    steps, handles = [], []
    blocks = visual.transformer.resblocks
    for block in blocks:
        seen: dict[str, Tensor] = {}
        steps.append(seen)
        taps = {"1": block.ln_1, "2": block.ln_2, "3": block.mlp.c_proj, "4": block}

        def keep(name: str, seen: dict[str, Tensor]) -> Callable[..., None]:
            def hook(module: Any, args: Any, output: Tensor) -> None:
                seen[f"{name} in"], seen[f"{name} out"] = args[0].detach(), output.detach()

            return hook

        handles += [tap.register_forward_hook(keep(name, seen)) for name, tap in taps.items()]
    with torch.no_grad():
        visual(pixels)
    for handle in handles:
        handle.remove()
    found = []
    for block, seen in zip(blocks, steps, strict=True):
        normed = seen["1 out"]
        with torch.no_grad():
            weights = block.attn(normed, normed, normed, average_attn_weights=False)[1]
        found.append(
            ModuleStep(
                entering=seen["1 in"],
                normed=normed,
                attention=weights,
                between=seen["2 in"],
                normed_between=seen["2 out"],
                activations=seen["3 in"],
                leaving=seen["4 out"],
            )
        )
    return found


def block_from_attention(block: Any, step: ModuleStep, image: int, attention: Tensor) -> Tensor:
    """What leaves a block for one image ``[1, token, width]`` if its attention were this."""
    attn = block.attn
    value_weight, value_bias = attn.in_proj_weight.chunk(3)[2], attn.in_proj_bias.chunk(3)[2]
    values = torch.nn.functional.linear(step.normed[image], value_weight, value_bias)
    heads = [a @ v for a, v in zip(attention, values.chunk(attn.num_heads, dim=-1), strict=True)]
    stream = step.entering[image] + block.ls_1(attn.out_proj(torch.cat(heads, dim=-1)))
    return (stream + block.ls_2(block.mlp(block.ln_2(stream))))[None]


def gradients_by_modules(visual: Any, pixels: Tensor, score: Callable[..., Tensor]) -> list[Tensor]:
    """Gradient of ``score(image, layer, stream leaving the layer)`` by that layer's attention."""
    steps = module_steps(visual, pixels)
    found = []
    for layer, step in enumerate(steps):
        block = visual.transformer.resblocks[layer]
        rows = []
        for image in range(len(pixels)):

            def of_attention(attention: Tensor, block=block, step=step, image=image, layer=layer):
                leaving = block_from_attention(block, step, image, attention)
                return score(image, layer, leaving)

            rows.append(
                torch.autograd.functional.jacobian(of_attention, step.attention[image]).detach()
            )
        found.append(torch.stack(rows))
    return found


def logit_gradients(visual: Any, pixels: Tensor, classes: Tensor, scale: float) -> list[Tensor]:
    """Gradients of the class's logit, the norm of the embedding held fixed."""
    with torch.no_grad():
        norms = visual(pixels).norm(dim=-1)

    def score(image: int, layer: int, stream: Tensor) -> Tensor:
        for block in visual.transformer.resblocks[layer + 1 :]:
            stream = block(stream)
        embedding = visual.ln_post(stream[0, 0]) @ visual.proj
        return scale * (embedding @ classes[image]) / norms[image]

    return gradients_by_modules(visual, pixels, score)


def visual_of(inputs: SegmenterInputs) -> Any:
    return inputs.clip.vision.visual
