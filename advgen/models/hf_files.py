"""Which files of a transformers repository are read, and whether they are all there."""

import json
from pathlib import Path

from advgen.errors import ModelError
from advgen.models.hf_config import check_code

SETTINGS = ("*.json", "*.txt", "*.model")
"""Patterns of all small files."""
WEIGHTS = "model.safetensors"
"""Weights in one file."""
SHARDS = "model-*.safetensors"
"""Weights in several files, which an index names."""

_INDEX = f"{WEIGHTS}.index.json"
_TOKENIZERS = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")


def check_files(folder: Path, source: str) -> None:
    """Refuse a folder without all of its weights, without a tokenizer, or with code of its own.

    Args:
        folder: Where the files lie.
        source: What the user calls them.

    Raises:
        ModelError: Saying what is not there.
    """
    if not (folder / WEIGHTS).is_file():
        lacking = _lacking_shards(folder)
        if lacking is None:
            raise ModelError(
                f"'{source}' has no {WEIGHTS}, and pickled weights (.bin, .pt) are never read; "
                "ask its owner for safetensors, or convert it (save_pretrained)"
            )
        if lacking:
            raise ModelError(
                f"'{source}' is not whole: {len(lacking)} of its files of weights are not there, "
                f"{lacking[0]} first; download them again"
            )
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        raise ModelError(
            f"'{source}' has no tokenizer; expected one of {', '.join(_TOKENIZERS)} beside its "
            "weights"
        )
    check_code(folder)


def _lacking_shards(folder: Path) -> list[str] | None:
    """Files of weights that the index names and that are not there; None without an index."""
    path = folder / _INDEX
    try:
        named = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
        return sorted({str(file) for file in named if not (folder / file).is_file()})
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no index of weights ({error!r})") from error
