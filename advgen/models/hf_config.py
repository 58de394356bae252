"""What `config.json` of a transformers repository says, and which of it is not read.

It is looked at before any weights are fetched or read, and before transformers sees it.
"""

import json
from pathlib import Path
from typing import Any

from advgen.errors import ModelError

MODEL_CLASSES = {"clip": "CLIPModel", "siglip": "SiglipModel"}
"""`model_type` -> class in transformers. SigLIP 2 of one resolution is a `siglip` there."""

_SETTINGS = ("preprocessor_config.json", "processor_config.json", "tokenizer_config.json")
_CODE = (
    "asks for code of its own repository (auto_map), which is never run; take a model of "
    "transformers' own classes"
)


def model_kind(folder: Path) -> str:
    """The `model_type` of a folder's `config.json`, one of `MODEL_CLASSES`.

    Raises:
        ModelError: If there is no such file, it is damaged, says another type, or describes
            something that is not read: code or quantised weights, other image sizes, no embedding.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["model_type"]
    except OSError as error:
        raise ModelError(f"{folder} is no transformers model: it holds no config.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is no configuration of transformers ({error!r})") from error
    if kind == "siglip2":
        raise ModelError(
            f"{path} is a SigLIP 2 for images of any shape (NaFlex), which is not read; take its "
            "fixed-resolution release, such as google/siglip2-base-patch16-224"
        )
    if not isinstance(kind, str) or kind not in MODEL_CLASSES:
        known = ", ".join(MODEL_CLASSES)
        raise ModelError(
            f"{path} is a model of type {kind!r}, not an image-text model that can be evaluated "
            f"({known})"
        )
    reason = _fault(config)
    if reason is not None:
        raise ModelError(f"{path} {reason}")
    return kind


def check_code(folder: Path) -> None:
    """Refuse a folder whose image processor or tokenizer is code of its own.

    transformers would take its own class in its place without a word, and its settings may differ.

    Raises:
        ModelError: If there is such code, or a file of settings is damaged.
    """
    for file in _SETTINGS:
        path = folder / file
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            code = settings.get("auto_map")
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(f"{path} holds no settings of transformers ({error!r})") from error
        if code:
            raise ModelError(f"{path} {_CODE}")


def _fault(config: dict[str, Any]) -> str | None:
    """What about a configuration is not read, and what to do instead; None if nothing."""
    if config.get("auto_map"):
        return _CODE
    if config.get("quantization_config"):
        return "is of quantised weights, which are not read; take the release they were made from"
    text, vision = (config.get(f"{part}_config") or {} for part in ("text", "vision"))
    if not isinstance(text, dict) or not isinstance(vision, dict):
        return "does not describe its towers: text_config and vision_config must be tables"
    size = vision.get("image_size", 0)
    if not isinstance(size, int):
        return f"takes images of {size!r} pixels; only squares are read, whose size is one number"
    if vision.get("vision_use_head") is False:
        return (
            "has no pooling head (vision_use_head), so images have no embedding; take the "
            "image-text model that it was cut from"
        )
    return None
