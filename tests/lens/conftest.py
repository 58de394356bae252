"""Small random models, and a plain re-implementation of what the lens reads from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from unittest import mock

import numpy as np
import open_clip
import pytest
import timm
import torch
from jaxtyping import TypeCheckError
from PIL import Image

from advgen.imagesets.batches import PixelBatches
from advgen.imagesets.files import UnreadableImageError
from advgen.models import OpenClipModel

torch.set_num_threads(1)  # the models are tiny; more threads only wait for each other

VARIANTS = {
    "gelu": {},
    "quickgelu": {"quick_gelu": True},
    "layerscale": {"ls_init_value": 0.5},
    "norm-after-pool": {"final_ln_after_pool": True},
}

POOLINGS = {
    "mean of normed tokens": {"pool_type": "avg"},
    "norm of the mean": {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    "attention pool": {
        "attentional_pool": True,
        "attn_pooler_heads": 5,
        "attn_pooler_queries": 4,
        "output_tokens": True,
    },
    "MAP head": {"timm_model_name": "vit_base_patch16_siglip_224", "timm_pool": "map"},
    "timm class token": {"timm_model_name": "vit_base_patch16_clip_224", "timm_pool": "token"},
    "timm mean": {"timm_model_name": "vit_base_patch16_siglip_gap_224", "timm_pool": "avg"},
    "timm registers": {
        "timm_model_name": "vit_small_patch14_reg4_dinov2",
        "timm_pool": "token",
        "timm_proj": "linear",
    },
}
TIMM = {"patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 3, "mlp_ratio": 1.5}
TEXT = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}


def small_timm_model(*, seed=0, dtype=torch.float64, image_size=24, **vision):
    """A random SigLIP-like tower; `open_clip` passes no sizes on to timm, so they are put in."""
    torch.manual_seed(seed)
    proj = vision.pop("timm_proj", "none" if vision["timm_pool"] == "map" else None)
    config = {"timm_proj": proj, "image_size": image_size, **vision}
    sizes = {**TIMM, "img_size": image_size}
    with mock.patch.object(timm, "create_model", partial(timm.create_model, **sizes)):
        embed = 24 if proj == "none" else 10
        model = open_clip.CustomTextCLIP(embed_dim=embed, vision_cfg=config, text_cfg=TEXT)
    return shaken(model).to(dtype)


def shaken(model):
    """Weights of a size at which every part of the tower matters."""
    for name, weight in model.visual.named_parameters():
        if "norm" in name or ".ln_" in name or name.startswith("ln_") or "gamma" in name:
            torch.nn.init.normal_(weight, mean=1.0 if name.endswith("weight") else 0.4, std=0.5)
        else:
            torch.nn.init.normal_(weight, std=0.3)
    return model


def small_model(*, quick_gelu=False, seed=0, dtype=torch.float64, **vision) -> open_clip.CLIP:
    """A random tower whose layer norms are far from the identity."""
    if "timm_model_name" in vision:
        return small_timm_model(seed=seed, dtype=dtype, **vision)
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
        text_cfg=TEXT,
    )
    return shaken(model).to(dtype)


@pytest.fixture(params=VARIANTS)
def clip(request) -> OpenClipModel:
    return OpenClipModel(small_model(**VARIANTS[request.param]))


@pytest.fixture(params=VARIANTS | POOLINGS)
def any_clip(request) -> OpenClipModel:
    """A model of every pooling kind."""
    return OpenClipModel(small_model(**(VARIANTS | POOLINGS)[request.param]))


@pytest.fixture
def plain_clip() -> OpenClipModel:
    return OpenClipModel(small_model())


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 24, 24, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture
def many_pixels() -> torch.Tensor:
    return torch.randn(37, 3, 24, 24, generator=torch.Generator().manual_seed(2)).double()


class DrawnImages:
    """An image set of random pictures, some of which cannot be read."""

    labels, classes, templates = None, (), ()

    def __init__(self, count: int, broken: tuple[int, ...] = ()):
        self.name, self.count, self.broken, self.reads = f"drawn:{count}", count, broken, 0

    @property
    def fingerprint(self) -> str:
        return f"{self.count} without {self.broken}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Image.Image:
        self.reads += 1
        if index in self.broken:
            raise UnreadableImageError(self.describe(index), "it is torn")
        pixels = np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    def __iter__(self):
        return (self[index] for index in range(self.count))

    def describe(self, index: int) -> str:
        return f"picture {index}"

    def digest(self, index: int) -> str:
        return str(index)


def drawn_source(count: int = 37, broken: tuple[int, ...] = (), batch_size: int = 5):
    """Batches of random pictures for a small tower."""
    return PixelBatches(DrawnImages(count, broken), to_pixels, batch_size)


def to_pixels(image: Image.Image) -> torch.Tensor:
    scaled = torch.from_numpy(np.array(image)).permute(2, 0, 1).double() / 50 - 2.5
    return torch.nn.functional.interpolate(scaled[None], size=(24, 24))[0]


@pytest.fixture(scope="session")
def make_source():
    return drawn_source


@dataclass
class Forward:
    """Every inner state of a forward pass, obtained without the package's own capture."""

    residual: list[torch.Tensor]  # entering each block [image, token, width]
    attention: list[torch.Tensor]  # [image, head, token, token]
    activation: list[torch.Tensor]  # post-GELU [image, token, neuron]
    final: torch.Tensor  # leaving the last block [image, token, width]


class Blocks:
    """The blocks of either kind of tower under open_clip's names."""

    def __init__(self, visual):
        self.timm = "trunk" in dict(visual.named_children())
        trunk = visual.trunk if self.timm else visual.transformer
        self.list = list(trunk.blocks if self.timm else trunk.resblocks)

    def norm(self, layer):
        return self.list[layer].norm1 if self.timm else self.list[layer].ln_1

    def heads(self, layer) -> int:
        return self.list[layer].attn.num_heads

    def scale_1(self, layer):
        return self.list[layer].ls1 if self.timm else self.list[layer].ls_1

    def scale_2(self, layer):
        return self.list[layer].ls2 if self.timm else self.list[layer].ls_2

    def in_proj(self, layer):
        attn = self.list[layer].attn
        return (
            (attn.qkv.weight, attn.qkv.bias)
            if self.timm
            else (attn.in_proj_weight, attn.in_proj_bias)
        )

    def out_proj(self, layer):
        attn = self.list[layer].attn
        return attn.proj if self.timm else attn.out_proj

    def write(self, layer):
        mlp = self.list[layer].mlp
        return mlp.fc2 if self.timm else mlp.c_proj

    def hidden(self, layer, x):
        block = self.list[layer]
        if self.timm:
            return block.mlp.act(block.mlp.fc1(block.norm2(x)))
        return block.mlp.gelu(block.mlp.c_fc(block.ln_2(x)))

    def attention(self, layer, y):
        weight, bias = self.in_proj(layer)
        heads = self.heads(layer)
        query, key, _ = (y @ weight.T + bias).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        return (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)

    def attend(self, layer, y, rows):
        """What the heads write for given rows of attention."""
        weight, bias = self.in_proj(layer)
        width = weight.shape[0] // 3
        value = (y @ weight[2 * width :].T + bias[2 * width :]).unflatten(-1, (rows.shape[1], -1))
        mixed = torch.einsum("ihqt,ithv->iqhv", rows, value).flatten(2)
        return self.scale_1(layer)(self.out_proj(layer)(mixed))


@torch.no_grad()
def plain_forward(model, pixels: torch.Tensor) -> Forward:
    visual, blocks = model.visual, Blocks(model.visual)
    if blocks.timm:
        trunk = visual.trunk
        x = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(pixels)))
    else:
        x = visual._embeds(pixels)
    states = Forward([], [], [], x)
    for layer in range(len(blocks.list)):
        states.residual.append(x)
        y = blocks.norm(layer)(x)
        states.attention.append(blocks.attention(layer, y))
        x = x + blocks.attend(layer, y, states.attention[-1])
        states.activation.append(blocks.hidden(layer, x))
        x = x + blocks.scale_2(layer)(blocks.write(layer)(states.activation[-1]))
    states.final = x
    return states


def sigma(x: torch.Tensor, norm) -> torch.Tensor:
    return torch.sqrt(((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True) + norm.eps)


@torch.no_grad()
def pooled_change(model, final: torch.Tensor, change: torch.Tensor, centered: bool) -> torch.Tensor:
    """What a change of the last stream does to the embedding, pooling and scales frozen.

    Args:
        final: Last stream [token, width] of one image.
        change: Added to it, [token, width].
        centered: Take the means of layer norms off what passes through them.
    """
    visual = model.visual
    centre = (lambda v: v - v.mean(-1, keepdim=True)) if centered else (lambda v: v)
    if "trunk" not in dict(visual.named_children()):
        norm, proj = visual.ln_post, visual.proj
        if visual.attn_pool is not None:
            pool = visual.attn_pool
            x, query = pool.ln_k(final), pool.ln_q(pool.query)
            out, rows = pool.attn(query, x, x, need_weights=True, average_attn_weights=False)
            scaled = pool.ln_k.weight * centre(change) / sigma(final, pool.ln_k)
            value = pool.attn.v_proj_weight if pool.attn.in_proj_weight is None else None
            value = pool.attn.in_proj_weight[2 * len(proj) :] if value is None else value
            moved = read_heads(rows[:, 0], scaled, value, pool.attn.out_proj.weight)
            return (norm.weight * centre(moved) / sigma(out[0], norm)) @ proj
        if visual.pool_type == "tok":
            return (norm.weight * centre(change[0]) / sigma(final[0], norm)) @ proj
        if visual.final_ln_after_pool:
            scale = sigma(final[1:].mean(0), norm)
            return (norm.weight * centre(change[1:].mean(0)) / scale) @ proj
        return (norm.weight * centre(change[1:]) / sigma(final[1:], norm)).mean(0) @ proj
    trunk = visual.trunk
    head = visual.head.proj if len(visual.head) else trunk.head
    weight = (
        torch.eye(len(final[0])).double() if isinstance(head, torch.nn.Identity) else head.weight
    )
    if trunk.global_pool == "map":
        pool = trunk.attn_pool
        query = pool.q(pool.latent[0, 0]).view(pool.num_heads, -1)
        key = pool.kv(trunk.norm(final))[:, : len(final[0])].unflatten(-1, query.shape)
        rows = (torch.einsum("hv,thv->ht", query, key) * pool.scale).softmax(-1)
        scaled = trunk.norm.weight * centre(change) / sigma(final, trunk.norm)
        value = pool.kv.weight[len(final[0]) :]
        return read_heads(rows, scaled, value, pool.proj.weight) @ weight.T
    if trunk.global_pool == "token":
        norm = trunk.norm
        return (norm.weight * centre(change[0]) / sigma(final[0], norm)) @ weight.T
    first = trunk.num_prefix_tokens
    if isinstance(trunk.norm, torch.nn.LayerNorm):
        normed = trunk.norm.weight * centre(change[first:]) / sigma(final[first:], trunk.norm)
        return normed.mean(0) @ weight.T
    norm, mean = trunk.fc_norm, final[first:].mean(0)
    return (norm.weight * centre(change[first:].mean(0)) / sigma(mean, norm)) @ weight.T


def read_heads(rows, tokens, value, out):
    """sum over heads and tokens of rows[head, token] W_O W_V token."""
    total = torch.zeros(len(out)).double()
    width = len(value) // len(rows)
    for head in range(len(rows)):
        part = slice(head * width, (head + 1) * width)
        for token in range(rows.shape[1]):
            total = total + rows[head, token] * (out[:, part] @ (value[part] @ tokens[token]))
    return total


@pytest.fixture(scope="session")
def blocks_of():
    return Blocks


@pytest.fixture(scope="session")
def pool_change():
    return pooled_change


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
