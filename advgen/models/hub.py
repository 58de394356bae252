"""A model's files from the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from advgen.hub import hub_fault

HUB = "hf-hub:"
WEIGHT_FILES = (
    "open_clip_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Names under which open_clip models keep their weights, the first one found is read."""


def fetch_repository(name: str) -> Path:
    """The local folder of an open_clip model's repository, fetched once and then taken from cache.

    Args:
        name: ``owner/repository``, with ``@revision`` for another revision than the main one.

    Raises:
        ModelError: If it does not exist, is gated, or cannot be fetched; the message says which.
    """
    repository, _, revision = name.partition("@")
    wanted = ["*.json", "*.txt", "*.model", *WEIGHT_FILES]
    try:
        folder = snapshot_download(repository, revision=revision or None, allow_patterns=wanted)
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise hub_fault(name, error) from error
    return Path(folder)
