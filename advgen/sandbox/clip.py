"""The sandbox's own CLIPs: real `open_clip.CLIP` models with small weights in the package."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save

from advgen.errors import ModelError
from advgen.models import OpenClipModel, load_folder
from advgen.models.loading import CONFIG_FILE, VOCABULARY_FILE
from advgen.sandbox.tokenizer import WordTokenizer
from advgen.store import write_atomic

IMAGE_MEAN = (0.55, 0.55, 0.5)
IMAGE_STD = (0.27, 0.25, 0.28)
WEIGHTS_FILE = "open_clip_model.safetensors"


def load_sandbox_clip(
    name: str, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> OpenClipModel:
    """Load a packaged sandbox checkpoint (`sandbox-a`, `sandbox-b`, `sandbox-c`).

    Raises:
        ModelError: If this checkpoint is not part of the installed package.
    """
    folder = resources.files("advgen.sandbox") / "weights" / name
    if not folder.joinpath(WEIGHTS_FILE).is_file():
        raise ModelError(
            f"the checkpoint '{name}' is not in this installation; "
            f"available: {', '.join(packaged_checkpoints()) or 'none'}. Train it with "
            f"`advgen sandbox train {name}`."
        )
    return load_folder(Path(str(folder)), name, device=device, dtype=dtype)


def packaged_checkpoints() -> list[str]:
    """Names of the sandbox checkpoints that are shipped with this installation."""
    weights = resources.files("advgen.sandbox").joinpath("weights")
    if not weights.is_dir():
        return []
    return sorted(
        entry.name for entry in weights.iterdir() if entry.joinpath(WEIGHTS_FILE).is_file()
    )


def wrap(
    model: open_clip.CLIP,
    words: list[str],
    name: str,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> OpenClipModel:
    """A sandbox model in memory behind the adapter that every other CLIP goes through."""
    visual: Any = model.visual
    preprocess: Any = open_clip.image_transform(
        visual.image_size, is_train=False, mean=IMAGE_MEAN, std=IMAGE_STD
    )
    tokenizer = WordTokenizer(words, model.context_length)
    model = model.to(device=device, dtype=dtype or torch.float32).eval()
    return OpenClipModel(model, preprocess=preprocess, tokenizer=tokenizer, name=name)


def save_checkpoint(model: open_clip.CLIP, config: dict, words: list[str], folder: Path) -> None:
    """Write a model as half-precision safetensors with its config and vocabulary beside it.

    The weights come last, so a folder that has them is complete.
    """
    size = model.visual.image_size
    preprocess = {"size": size, "mean": IMAGE_MEAN, "std": IMAGE_STD, "interpolation": "bicubic"}
    document = {"model_cfg": config, "preprocess_cfg": preprocess}
    write_atomic(folder / CONFIG_FILE, json.dumps(document, indent=2) + "\n")
    write_atomic(folder / VOCABULARY_FILE, "\n".join(words) + "\n")
    tensors = {
        name: tensor.detach().half().contiguous() for name, tensor in model.state_dict().items()
    }
    write_atomic(folder / WEIGHTS_FILE, save(tensors))
