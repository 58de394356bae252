"""Weights from a file into an open_clip module, with every mismatch named."""

import warnings
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
OPENAI_MARKS = {"input_resolution", "context_length", "vocab_size"}
"""Tensors that only OpenAI's original checkpoints hold; all of these run QuickGELU."""


def load_weights(model: nn.Module, path: Path, *, architecture: str = "", quick_gelu=True) -> None:
    """Fill `model` from a ``.safetensors`` file, a state dict or OpenAI's original archive.

    Positional embeddings are not resized: a checkpoint of another shape is refused.

    Args:
        model: An open_clip module.
        path: The checkpoint.
        architecture: Its name, for the message when OpenAI's weights need another activation.
        quick_gelu: Whether `model` runs QuickGELU.

    Raises:
        ModelError: If the file cannot be read, its tensors are not those of `model`, or they are
            OpenAI's and `model` runs another activation than QuickGELU.
    """
    state = read_state_dict(path)
    if state.keys() >= OPENAI_MARKS:
        state = {name: value for name, value in state.items() if name not in OPENAI_MARKS}
        if not quick_gelu:
            right = f"use '{architecture}-quickgelu'" if architecture else "set quick_gelu"
            raise ModelError(
                f"{path} holds OpenAI's weights, which were trained with QuickGELU, and the "
                f"configuration runs GELU: {right}"
            )
    state = _native_names(model, state)
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, and the only reader of the format
            state = torch.jit.load(path, map_location="cpu").state_dict()
        return {
            name: value.float() if value.is_floating_point() else value
            for name, value in state.items()
        }
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
    for derived in ("text.transformer.embeddings.position_ids", "attn_mask"):
        converted.pop(derived, None)
    return converted
