"""Weights from a file into an open_clip module, with every mismatch named."""

import zipfile
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn

from advgen.errors import ModelError

_SHOWN = 4


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` from a ``.safetensors`` file or a ``torch.save``d state dict.

    Positional embeddings are not resized: a checkpoint of another shape is refused.

    Raises:
        ModelError: If the file cannot be read, or its tensors are not those of `model`.
    """
    state = _native_names(model, read_state_dict(path))
    wanted = model.state_dict()
    for name in ("logit_scale", "logit_bias"):  # stored as a scalar or as one-element vector
        if name in state and name in wanted and state[name].numel() == wanted[name].numel():
            state[name] = state[name].reshape(wanted[name].shape)
    faults = mismatches(state, wanted)
    if faults:
        rest = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ModelError(
            f"{path} does not fit this architecture: {'; '.join(faults[:_SHOWN])}{rest}. "
            "Name the architecture that it was trained with."
        )
    model.load_state_dict(state)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint file, on the CPU, without a training wrapper's prefix.

    Raises:
        ModelError: If the file is missing, damaged, or holds something other than tensors.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint file at {path}")
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except ModelError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path} cannot be read as a checkpoint ({reason[0]}); "
            "download it again or check that it is a state dict"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not state or not _all_tensors(state):
        raise ModelError(f"{path} holds no state dict (a mapping of names to tensors)")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def mismatches(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """One line per tensor that differs between a checkpoint and a model; wrong shapes first."""
    shapes = [
        f"{name} has shape {tuple(state[name].shape)}, expected {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    missing = [f"{name} is missing" for name in wanted if name not in state]
    unknown = [f"{name} is unknown to the model" for name in state if name not in wanted]
    return shapes + missing + unknown


def _read_pickle(path: Path) -> Any:
    if _is_torchscript(path):
        raise ModelError(
            f"{path} is a TorchScript archive (OpenAI's original release); use the name with "
            "'/openai' instead, e.g. ViT-B-32-quickgelu/openai, or save its state dict first"
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _all_tensors(state: dict[Any, Any]) -> bool:
    return all(isinstance(n, str) and isinstance(t, Tensor) for n, t in state.items())


def _native_names(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    # Annotated for CLIP models only; it reads any module.
    converted = convert_state_dict(model, dict(state))  # type: ignore[arg-type]
    if isinstance(model, open_clip.CustomTextCLIP) and "positional_embedding" in converted:
        converted = convert_to_custom_text_state_dict(converted)
    converted.pop("text.transformer.embeddings.position_ids", None)
    return converted
