"""Small random models, and a plain re-implementation of what the lens reads from them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import open_clip
import pytest
import torch
from jaxtyping import TypeCheckError

from advgen.models import OpenClipModel

torch.set_num_threads(1)  # the models are tiny; more threads only wait for each other

VARIANTS = {
    "gelu": {},
    "quickgelu": {"quick_gelu": True},
    "layerscale": {"ls_init_value": 0.5},
    "norm-after-pool": {"final_ln_after_pool": True},
}


def small_model(*, quick_gelu=False, seed=0, dtype=torch.float64, **vision) -> open_clip.CLIP:
    """A random tower whose layer norms are far from the identity."""
    torch.manual_seed(seed)
    model = open_clip.CLIP(
        embed_dim=10,
        quick_gelu=quick_gelu,
        vision_cfg={
            "image_size": 24,
            "patch_size": 8,
            "layers": 4,
            "width": 24,
            "head_width": 8,
            "mlp_ratio": 1.5,
            **vision,
        },
        text_cfg={"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
    )
    for name, weight in model.visual.named_parameters():
        if ".ln_" in name or name.startswith("ln_") or "gamma" in name:
            torch.nn.init.normal_(weight, mean=1.0 if name.endswith("weight") else 0.4, std=0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.3)
        else:
            torch.nn.init.normal_(weight, std=0.3)
    return model.to(dtype)


@pytest.fixture(params=VARIANTS)
def clip(request) -> OpenClipModel:
    return OpenClipModel(small_model(**VARIANTS[request.param]))


@pytest.fixture
def plain_clip() -> OpenClipModel:
    return OpenClipModel(small_model())


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 24, 24, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture
def many_pixels() -> torch.Tensor:
    return torch.randn(37, 3, 24, 24, generator=torch.Generator().manual_seed(2)).double()


@dataclass
class Forward:
    """Every inner state of a forward pass, obtained without the package's own capture."""

    residual: list[torch.Tensor]  # entering each block [image, token, width]
    attention: list[torch.Tensor]  # [image, head, token, token]
    activation: list[torch.Tensor]  # post-GELU [image, token, neuron]
    final: torch.Tensor  # leaving the last block [image, token, width]


@torch.no_grad()
def plain_forward(model: open_clip.CLIP, pixels: torch.Tensor) -> Forward:
    visual = model.visual
    x = visual._embeds(pixels)
    states = Forward([], [], [], x)
    for block in visual.transformer.resblocks:
        states.residual.append(x)
        y = block.ln_1(x)
        out, weights = block.attn(y, y, y, need_weights=True, average_attn_weights=False)
        states.attention.append(weights)
        x = x + block.ls_1(out)
        hidden = block.mlp.gelu(block.mlp.c_fc(block.ln_2(x)))
        states.activation.append(hidden)
        x = x + block.ls_2(block.mlp.c_proj(hidden))
    states.final = x
    return states


@pytest.fixture(scope="session")
def forward():
    return plain_forward


@pytest.fixture(scope="session")
def make_model():
    return small_model


@pytest.fixture(scope="session")
def refused():
    """What an unknown option raises: also the run-time type check, where pytest runs with it."""
    return (ValueError, TypeCheckError)


@pytest.fixture(scope="session")
def oracle(shared):
    """The authors' numbers on a small model: (clip, pixels, {layer: effects}, representation)."""
    stem = shared / "oracle" / "second-order-small"
    if not stem.with_suffix(".npz").is_file():
        pytest.skip("the oracle is not on this machine (set ADVGEN_SHARED)")
    arrays = np.load(stem.with_suffix(".npz"))
    model = open_clip.CLIP(**json.loads(stem.with_suffix(".json").read_text()))
    weights = {n[2:]: torch.from_numpy(arrays[n]) for n in arrays.files if n.startswith("w/")}
    model.load_state_dict(weights)
    effects = {layer: torch.from_numpy(arrays[f"phi{layer}"]) for layer in (1, 3)}
    return OpenClipModel(model), torch.from_numpy(arrays["x"]), effects, arrays["rep"]
