"""A CLIP by name: pretrained tag, folder, checkpoint file, repository, or a registered loader."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from torch import nn

from advgen import registry
from advgen.errors import ModelError
from advgen.hub import is_folder, quiet_client
from advgen.models.checkpoint import load_weights
from advgen.models.hf_loading import TRANSFORMERS, load_transformers
from advgen.models.hf_model import HfModel
from advgen.models.hub import HUB, WEIGHT_FILES, fetch_repository
from advgen.models.open_clip_model import OpenClipModel
from advgen.models.protocol import ClipModel

CONFIG_FILE = "open_clip_config.json"
VOCABULARY_FILE = "vocabulary.txt"


def load_clip(
    name: str, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> ClipModel:
    """Load a CLIP.

    Args:
        name: One of

            - ``"sandbox-a"``: a registered name (`advgen.registry`, kind "clip");
            - ``"ViT-B-32-quickgelu/openai"``: an open_clip architecture and pretrained tag
              (downloaded at first use);
            - ``"ViT-B-32@/path/to/checkpoint.pt"``: an architecture and a checkpoint file;
            - ``"hf-hub:owner/repository"``: an open_clip model on the Hugging Face Hub (a revision
              after ``@``);
            - a folder with ``open_clip_config.json`` and ``open_clip_model.safetensors`` (and
              ``vocabulary.txt`` for a model that reads whole words);
            - ``"transformers:owner/repository"`` or ``"transformers:FOLDER"``: a CLIP or SigLIP as
              transformers saves it (a revision after ``@``), or a folder with its ``config.json``
              and no ``open_clip_config.json``; it can be evaluated, the lens does not read it.
        device: Where the weights go.
        dtype: Number format of the weights; float32 if None.

    Raises:
        ModelError: If the name is unknown (with suggestions), the files are missing, damaged or of
            another architecture, or the weights need another activation than the configuration's.
        ConfigError: If a transformers model is asked for and transformers is not installed.
    """
    if name in registry.names("clip"):
        return registry.resolve("clip", name)(name, device=device, dtype=dtype)
    loaded: OpenClipModel | HfModel
    if name.startswith(TRANSFORMERS) or _is_transformers(name):
        loaded = load_transformers(name)
    elif name.startswith(HUB):
        loaded = _from_folder(fetch_repository(name.removeprefix(HUB)), name)
    elif "@" in name:
        loaded = _from_checkpoint(name)
    elif name and Path(name).expanduser().is_dir():
        loaded = _from_folder(Path(name).expanduser(), name)
    else:
        loaded = _from_tag(name)
    _move(loaded.model, device, dtype)
    return loaded


def load_folder(
    folder: Path,
    name: str,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> OpenClipModel:
    """Load a model folder under a name of its own; see `load_clip`."""
    loaded = _from_folder(folder, name)
    _move(loaded.model, device, dtype)
    return loaded


def _is_transformers(name: str) -> bool:
    """Whether a name is a folder that transformers saved and open_clip did not."""
    folder = Path(name).expanduser() if is_folder(name) else None
    return bool(
        folder and (folder / "config.json").is_file() and not (folder / CONFIG_FILE).exists()
    )


def _from_tag(name: str) -> OpenClipModel:
    architecture, _, tag = name.rpartition("/")
    if name in open_clip.list_models():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ModelError(
            f"'{name}' is an architecture without weights: add a pretrained tag ('{name}/TAG'; "
            f"known: {tags}) or a checkpoint ('{name}@/path/to/file')"
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        raise ModelError(_unknown(name, architecture, tag, tags))
    if _wrong_activation(architecture, tag):
        raise ModelError(
            f"the weights '{tag}' were trained with QuickGELU and '{architecture}' runs GELU: "
            f"use '{architecture}-quickgelu/{tag}'"
        )
    try:
        with quiet_client():
            model = open_clip.create_model(architecture, pretrained=tag)
    except (RuntimeError, OSError) as error:
        raise ModelError(
            f"the weights of {name} could not be loaded ({error}); without a network, copy the "
            f"checkpoint here and use '{architecture}@/path/to/file'"
        ) from error
    tokenizer = open_clip.get_tokenizer(architecture)
    return OpenClipModel(model, tokenizer=tokenizer, name=name)


def _from_checkpoint(name: str) -> OpenClipModel:
    architecture, _, path = name.partition("@")
    config = open_clip.get_model_config(architecture)
    if config is None:
        known = open_clip.list_models()
        raise ModelError(registry.unknown_name("architecture", architecture, known))
    model = build(config)
    quick = bool(config.get("quick_gelu", False))
    load_weights(model, Path(path).expanduser(), architecture=architecture, quick_gelu=quick)
    return OpenClipModel(model, tokenizer=open_clip.get_tokenizer(architecture), name=name)


def _from_folder(folder: Path, name: str) -> OpenClipModel:
    path = folder / CONFIG_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        config, preprocess = document["model_cfg"], document.get("preprocess_cfg", {})
        model = build(config)
    except OSError as error:
        raise ModelError(f"{folder} is no model folder: it holds no {CONFIG_FILE}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not an open_clip configuration ({error!r})") from error
    present = [folder / file for file in WEIGHT_FILES if (folder / file).is_file()]
    if not present:
        raise ModelError(f"{folder} holds no weights; expected one of {', '.join(WEIGHT_FILES)}")
    load_weights(model, present[0], quick_gelu=bool(config.get("quick_gelu", False)))
    settings = merge_preprocess_dict(PreprocessCfg(), preprocess)
    settings["size"] = model.visual.image_size
    set_model_preprocess_cfg(model, settings)
    return OpenClipModel(model, tokenizer=_folder_tokenizer(folder, model), name=name)


def _folder_tokenizer(folder: Path, model: Any) -> Any:
    vocabulary = folder / VOCABULARY_FILE
    if vocabulary.is_file():
        words = vocabulary.read_text(encoding="utf-8").split()
        return registry.resolve("tokenizer", "words")(words, model.context_length)
    return open_clip.get_tokenizer(f"local-dir:{folder}")


def build(config: dict[str, Any]) -> Any:
    """An open_clip module from its configuration, with random weights and no download."""
    config = dict(config)
    text = dict(config["text_cfg"])
    vision = dict(config["vision_cfg"])
    custom_text = config.pop("custom_text", False)
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
        custom_text = True
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    config.update(text_cfg=text, vision_cfg=vision)
    if "multimodal_cfg" in config:
        return open_clip.CoCa(**config)
    return (open_clip.CustomTextCLIP if custom_text else open_clip.CLIP)(**config)


def _wrong_activation(architecture: str, tag: str) -> bool:
    needs = get_pretrained_cfg(architecture, tag).get("quick_gelu", False)
    has = (open_clip.get_model_config(architecture) or {}).get("quick_gelu", False)
    return needs and not has


def _unknown(name: str, architecture: str, tag: str, tags: list[str]) -> str:
    if tags:
        return registry.unknown_name(f"pretrained tag of {architecture}", tag, tags)
    every = [*registry.names("clip"), *open_clip.list_models()]
    every += [f"{m}/{t}" for m, t in open_clip.list_pretrained() if not _wrong_activation(m, t)]
    close = registry.closest(name, every) or registry.closest(architecture, every)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return (
        f"unknown model '{name}': {hint}Expected a registered name "
        f"({', '.join(registry.names('clip'))}), ARCHITECTURE/TAG, ARCHITECTURE@FILE, "
        f"{HUB}OWNER/NAME, {TRANSFORMERS}OWNER/NAME or a folder with {CONFIG_FILE}."
    )


def _move(model: nn.Module, device: str | torch.device, dtype: torch.dtype | None) -> None:
    try:
        model.to(device=device, dtype=dtype or torch.float32)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"the device '{device}' cannot be used ({reason}); try 'cpu'") from error
